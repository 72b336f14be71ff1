// dockerd's refusal of a port that another of its containers publishes, with that container's name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace slipway {

// dockerd keeps its own table of ports and looks there before it asks anybody to bind, so this
// refusal is the one that never comes by way of the host's ports. `containerOn` gives an empty name
// if it knows none.
std::string withPortHolder(std::string message,
                           const std::function<std::string(std::uint16_t)>& containerOn);

}  // namespace slipway
