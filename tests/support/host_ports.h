// What can be seen of published ports on this host.
#pragma once

#include <string>

namespace slipway::test {

int freePort();  // That was so a moment ago.

bool listens(int port, const std::string& address = "127.0.0.1");  // IPv4.

// Soon: a GET is answered with the name alone.
bool serves(const std::string& address, int port, const std::string& name);

}  // namespace slipway::test
