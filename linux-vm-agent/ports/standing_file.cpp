#include "linux-vm-agent/ports/standing_file.h"

#include <map>
#include <string>

#include <fmt/format.h>

#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr std::string_view kGone = "gone";
constexpr std::size_t kFewLines = 64;  // Not worth to be written anew.

std::string lineOf(const ClaimTable::Standing& claim)
{
    return fmt::format("{} {}\n", claim.lease, toText(claim.port));
}

}  // namespace

std::vector<ClaimTable::Standing> StandingFile::read()
{
    auto claims = parse();
    for (const auto& claim : claims) m_standing.insert(claim.lease);
    writeAnew(claims);
    return claims;
}

void StandingFile::add(const ClaimTable::Standing& claim)
{
    if (m_standing.insert(claim.lease).second) append(lineOf(claim));
}

void StandingFile::remove(Lease lease)
{
    if (!m_standing.erase(lease)) return;
    append(fmt::format("{} {}\n", lease, kGone));
    if (m_lines > 2 * m_standing.size() + kFewLines) writeAnew(parse());
}

void StandingFile::append(const std::string& line)
{
    m_file << line << std::flush;
    ++m_lines;
    if (!m_file) complain("the file system is full");
}

// Replaced as a whole: a kill leaves one of the two.
void StandingFile::writeAnew(const std::vector<ClaimTable::Standing>& claims)
{
    std::filesystem::path fresh = m_path;
    fresh += ".new";
    m_file.close();
    m_file.clear();
    m_file.open(fresh, std::ios::trunc);
    for (const auto& claim : claims) m_file << lineOf(claim);
    m_file.flush();
    m_lines = claims.size();
    if (!m_file) return complain("the file system is full");
    std::error_code failed;
    std::filesystem::rename(fresh, m_path, failed);
    if (failed) complain(failed.message().c_str());
}

std::vector<ClaimTable::Standing> StandingFile::parse() const
{
    std::map<Lease, ClaimedPort> claims;
    std::ifstream file(m_path);
    Lease lease = 0;
    std::string text;
    while (file >> lease && file.ignore(1) && std::getline(file, text))
        if (auto port = parsePort(text))
            claims[lease] = *std::move(port);
        else
            claims.erase(lease);
    std::vector<ClaimTable::Standing> standing;
    for (auto& [number, port] : claims) standing.push_back({number, std::move(port)});
    return standing;
}

void StandingFile::complain(const char* why)
{
    log::warn("ports: write {}: {}", m_path.string(), why);
}

}  // namespace slipway
