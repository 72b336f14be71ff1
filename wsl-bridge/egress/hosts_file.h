// The host's hosts(5) file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace slipway {

// Read anew whenever the file is another.
class HostsFile {
public:
    explicit HostsFile(std::filesystem::path path) : m_path(std::move(path)) {}

    // Addresses as the file has them, IPv4 and IPv6; `name` in lower case. Empty: it is not there.
    std::vector<std::string> addressesOf(const std::string& name);
    std::string nameOf(const std::string& address);  // The first; empty: it is not there.

private:
    void refresh();
    void readLine(std::string_view line);

    std::filesystem::path m_path;
    std::filesystem::file_time_type m_written{};
    std::uintmax_t m_size = 0;
    std::map<std::string, std::vector<std::string>> m_addresses;
    std::map<std::string, std::string> m_names;
};

}  // namespace slipway
