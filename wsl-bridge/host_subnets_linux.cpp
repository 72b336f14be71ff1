#include "wsl-bridge/host_subnets.h"

#include <fstream>
#include <iterator>

#include "wsl-bridge/machine/sandbox/subnet_choice.h"

namespace slipway {

std::vector<std::string> hostSubnets()
{
    std::ifstream table("/proc/net/route");
    std::string text(std::istreambuf_iterator<char>(table), {});
    std::vector<std::string> networks;
    for (const Subnet& subnet : routesOf(text)) networks.push_back(subnet.text());
    return networks;
}

}  // namespace slipway
