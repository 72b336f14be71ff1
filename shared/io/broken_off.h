// Whether the peer of a socket ended its direction, or broke the connection off.
#pragma once

namespace slipway {

// Of a TCP or unix socket whose input has ended; `writeClosed`: so has our own direction. A unix
// socket tells only while that goes on: a peer that is gone has not waited for its end then.
bool wasBrokenOff(int socket, bool writeClosed);

}  // namespace slipway
