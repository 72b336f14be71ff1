// slipway endpoint tcp and certificates: the endpoint for clients that can't use its socket.
#include <filesystem>

#include <fmt/format.h>

#include "app/cli/bridge_session.h"
#include "app/cli/commands.h"
#include "app/cli/text.h"
#include "shared/core/folder_owner.h"
#include "shared/net/docker_ports.h"
#include "shared/tls/tls_context.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

fs::path clientFolder(const Home& home)
{
    return home.tlsDir() / "client";
}

// What a client has to be told, and how docker is.
void printUse(const Home& home, const v1::Endpoint& endpoint)
{
    fmt::print("the endpoint listens on {} as well\n", endpoint.tcp_url());
    if (endpoint.tcp_tls())
        fmt::print(
            "   DOCKER_HOST={} DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={} docker …\n"
            "   for a client elsewhere: slipway endpoint certificates FOLDER\n",
            endpoint.tcp_url(), shellQuoted(clientFolder(home).string()));
    else
        fmt::print(
            "   DOCKER_HOST={} docker …\n"
            "   warning: every user and program of this host can command the engine now\n",
            endpoint.tcp_url());
}

}  // namespace

Result<int> tcpEndpointCommand(const Home& home, const TcpWanted& wanted)
{
    BridgeSession bridge(home);
    TRY(auto state, bridge.state());
    if (!state)
        return fail(Code::Unavailable, "Slipway does not run; start it with: slipway start");
    v1::SetTcpEndpointRequest request;
    bool tls = wanted.how == "tls";
    if (wanted.how != "off") {
        request.set_address(wanted.address.empty() ? "127.0.0.1" : wanted.address);
        request.set_tls(tls);
        request.set_port(wanted.port ? wanted.port : tls ? kDockerTlsPort : kDockerPort);
    }
    TRY_VOID(bridge.setTcpEndpoint(request));
    TRY(auto now, bridge.state());
    if (now && !now->endpoint().tcp_url().empty())
        printUse(home, now->endpoint());
    else
        fmt::print("the endpoint does not listen on TCP\n");
    return 0;
}

// The key's mode, 0600, goes along with it.
Result<int> exportCertificatesCommand(const Home& home, const std::string& folder)
{
    TlsFiles from = tlsFilesIn(clientFolder(home));
    if (!fs::exists(from.key))
        return fail(Code::NotFound,
                    "there are no certificates yet; first: slipway endpoint tcp tls");
    std::error_code failed;
    bool made = fs::create_directories(folder, failed);
    if (made) TRY_VOID(giveToFolderOwner(fs::absolute(folder)));
    for (const fs::path& source : {from.authority, from.certificate, from.key}) {
        fs::path target = fs::absolute(folder) / source.filename();
        if (!failed) fs::copy_file(source, target, fs::copy_options::overwrite_existing, failed);
        if (failed) return failErrno(fmt::format("write {}", target.string()), failed.value());
        TRY_VOID(giveToFolderOwner(target));
    }
    fmt::print(
        "{} has ca.pem, cert.pem and key.pem; with docker: DOCKER_TLS_VERIFY=1 "
        "DOCKER_CERT_PATH={}\n",
        folder, shellQuoted(fs::absolute(folder).string()));
    return 0;
}

}  // namespace slipway
