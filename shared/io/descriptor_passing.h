// send(2) and recv(2) of a unix socket with a descriptor beside the bytes (SCM_RIGHTS, unix(7)).
#pragma once

#include <span>
#include <string_view>

#include <sys/types.h>

#include "shared/io/descriptor.h"

namespace slipway {

// Both answer as the system call does, with errno.

ssize_t sendWithDescriptor(int socket, std::string_view bytes, int descriptor);

// `along` becomes what came with the bytes, if something did. EMFILE: it came, and there was no
// room for it.
ssize_t receiveWithDescriptor(int socket, std::span<char> into, Descriptor& along);

}  // namespace slipway
