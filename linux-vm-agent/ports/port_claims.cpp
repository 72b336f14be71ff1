#include "linux-vm-agent/ports/port_claims.h"

#include <ctime>

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/core/open_limit.h"
#include "shared/io/uv_stream.h"

namespace slipway {
namespace {

constexpr std::size_t kMaxLineBytes = 512;
constexpr int kOwnerOnly = 0600;
constexpr std::size_t kFilesEach = 2;  // Its proxy's stream, its listener in the machine.

// Microseconds since the machine's kernel began: more than any lease of an agent before this one.
Lease firstLease()
{
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<Lease>(now.tv_sec) * 1'000'000 + static_cast<Lease>(now.tv_nsec) / 1000 + 1;
}

ClaimTable::Time now()
{
    return std::chrono::steady_clock::now();
}

}  // namespace

Result<std::unique_ptr<PortClaims>> PortClaims::open(Loop& loop, Options options)
{
    std::unique_ptr<PortClaims> claims(new PortClaims(loop, std::move(options)));
    auto standing = claims->m_standing.read();
    claims->m_table.restore(standing);
    for (const auto& claim : standing) claims->m_inMachine.add(claim);
    TRY_VOID(claims->listen());
    return claims;
}

PortClaims::PortClaims(Loop& loop, Options options)
    : m_loop(loop),
      m_options(std::move(options)),
      m_table(*this, firstLease()),
      m_inMachine(loop),
      m_standing(m_options.standingFile),
      m_timer(loop)
{
}

Result<> PortClaims::listen()
{
    TRY(m_acceptor,
        UnixAcceptor::listen(m_loop, m_options.socket, kOwnerOnly,
                             [this](Descriptor socket) { accepted(std::move(socket)); }));
    return {};
}

void PortClaims::bridgeCame(Tell tell)
{
    m_tell = std::move(tell);
    m_table.bridgeCame();
}

void PortClaims::bridgeGone()
{
    m_table.bridgeGone();
    m_tell = nullptr;
}

void PortClaims::decided(const v1::PortDecision& decision)
{
    m_table.decided(decision.lease(), decision.refusal());
    armTimer();
}

void PortClaims::engineUp(bool up)
{
    m_table.engineUp(up, now());
    armTimer();
}

void PortClaims::keepListeners(const std::vector<ClaimedPort>& ports)
{
    std::map<std::string, ProxyId> gone = std::exchange(m_listeners, {});
    for (const ClaimedPort& port : ports)
        if (auto known = gone.extract(toText(port))) m_listeners.insert(std::move(known));
    for (const auto& [port, id] : gone) m_table.ended(id, ClaimTable::End::Withdrawn, now());
    for (const ClaimedPort& port : ports) {
        auto [place, isNew] = m_listeners.try_emplace(toText(port), m_nextProxy);
        if (isNew) m_table.restate(m_nextProxy++, port);
    }
    armTimer();
}

void PortClaims::accepted(Descriptor socket)
{
    if (auto allowed = m_options.checkPeer(socket.get()); !allowed)
        return log::warn("ports: turned away {}", allowed.error().message);
    auto stream = adoptSocket(m_loop, std::move(socket));
    if (!stream) return log::warn("ports: {}", stream.error().message);
    ProxyId id = m_nextProxy++;
    m_proxies[id].stream = std::move(*stream);
    read(id);
}

void PortClaims::read(ProxyId id)
{
    m_proxies.at(id).stream->read(
        [this, id](Result<ByteStream::Bytes> bytes) { arrived(id, std::move(bytes)); });
}

void PortClaims::arrived(ProxyId id, Result<ByteStream::Bytes> bytes)
{
    if (!bytes || bytes->empty()) return finish(id, ClaimTable::End::Vanished);
    std::string& unread = m_proxies.at(id).unread;
    unread += textOf(*bytes);
    for (std::size_t end; (end = unread.find('\n')) != std::string::npos;) {
        std::string line = unread.substr(0, end);
        unread.erase(0, end + 1);
        if (!lineCame(id, line)) return;
    }
    if (unread.size() > kMaxLineBytes) return finish(id, ClaimTable::End::Vanished);
    read(id);
}

bool PortClaims::lineCame(ProxyId id, std::string_view line)
{
    if (line == kWithdrawWord || line == kLeaveWord) {
        finish(id, line == kWithdrawWord ? ClaimTable::End::Withdrawn : ClaimTable::End::Left);
        return false;
    }
    bool isClaim = line.starts_with(kClaimWord);
    bool isRestated = line.starts_with(kRestateWord);
    if (isClaim || isRestated) {
        if (auto port = parsePort(line.substr(isClaim ? kClaimWord.size() : kRestateWord.size()))) {
            isClaim ? m_table.claim(id, *port, now()) : m_table.restate(id, *port);
            armTimer();
            return true;
        }
    }
    log::warn("ports: a proxy said \"{}\", which is no claim", line);
    finish(id, ClaimTable::End::Vanished);
    return false;
}

void PortClaims::finish(ProxyId id, ClaimTable::End end)
{
    m_proxies.erase(id);
    m_table.ended(id, end, now());
    armTimer();
}

void PortClaims::armTimer()
{
    auto next = m_table.nextDeadline();
    if (!next) return m_timer.stop();
    auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now());
    m_timer.after(std::max(left, std::chrono::milliseconds(0)), [this] {
        m_table.elapse(now());
        armTimer();
    });
}

void PortClaims::answer(ProxyId id, const std::string& refusal)
{
    auto known = m_proxies.find(id);
    if (known == m_proxies.end()) return;
    Proxy& proxy = known->second;
    if (!proxy.answer.empty()) return;  // One claim a proxy; dockerd reads one answer.
    proxy.answer = refusal.empty() ? std::string(kGranted) : fmt::format("{}{}", kRefused, refusal);
    proxy.leaving = !refusal.empty();
    proxy.stream->write(bytesOf(proxy.answer), [this, id](Result<>) {
        auto told = m_proxies.find(id);
        if (told != m_proxies.end() && told->second.leaving) m_proxies.erase(told);
    });
}

void PortClaims::tell(const v1::PortRequest& request)
{
    if (m_tell) m_tell(request);
}

void PortClaims::stands(const ClaimTable::Standing& claim)
{
    m_inMachine.add(claim);
    m_standing.add(claim);
}

void PortClaims::fell(Lease lease)
{
    m_inMachine.remove(lease);
    m_standing.remove(lease);
}

std::string PortClaims::whyNoRoom(std::size_t claims)
{
    auto room = roomForPort(claims, kFilesEach);
    return room ? std::string() : room.error().message;
}

}  // namespace slipway
