#include "wsl-bridge/egress/hosts_file.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace slipway {

std::vector<std::string> HostsFile::addressesOf(const std::string& name)
{
    refresh();
    auto known = m_addresses.find(name);
    return known == m_addresses.end() ? std::vector<std::string>{} : known->second;
}

std::string HostsFile::nameOf(const std::string& address)
{
    refresh();
    auto known = m_names.find(address);
    return known == m_names.end() ? "" : known->second;
}

void HostsFile::refresh()
{
    std::error_code missing;
    auto written = std::filesystem::last_write_time(m_path, missing);
    auto size = missing ? 0 : std::filesystem::file_size(m_path, missing);
    if (missing) written = {}, size = 0;
    if (written == m_written && size == m_size) return;
    m_written = written;
    m_size = size;
    m_addresses.clear();
    m_names.clear();
    std::ifstream file(m_path);
    for (std::string line; std::getline(file, line);) readLine(line);
}

void HostsFile::readLine(std::string_view line)
{
    std::istringstream words{std::string(line.substr(0, line.find('#')))};
    std::string address;
    if (!(words >> address)) return;
    for (std::string name; words >> name;) {
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        m_addresses[name].push_back(address);
        m_names.try_emplace(address, name);
    }
}

}  // namespace slipway
