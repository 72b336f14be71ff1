// Where everything of one Slipway lies: SLIPWAY_HOME and the files below it.
#pragma once

#include <filesystem>
#include <string>

#include <sys/types.h>

#include "shared/core/error.h"

namespace slipway {

// The person Slipway works for: under sudo the invoking one, else whoever runs the program.
struct User {
    uid_t uid = 0;
    gid_t gid = 0;
    std::string name;
    std::filesystem::path home;
};
Result<User> invokingUser();

struct Home {
    std::filesystem::path root;  // Absolute, no symlinks in it.

    std::filesystem::path settingsFile() const { return root / "settings.json"; }
    std::filesystem::path daemonJson() const { return root / "daemon.json"; }
    std::filesystem::path endpointSocket() const { return root / "docker.sock"; }
    std::string endpointUrl() const { return endpoints().inUse.url(); }
    // Those that lead to one engine for good, whichever is in use.
    std::filesystem::path linuxSocket() const { return root / "docker-linux.sock"; }
    std::filesystem::path windowsSocket() const { return root / "docker-windows.sock"; }
    // All of them, each with the docker context that names it.
    struct NamedEndpoint {
        std::string context;
        std::filesystem::path socket;
        std::string url() const { return "unix://" + socket.string(); }
    };
    struct Endpoints {
        NamedEndpoint inUse;
        NamedEndpoint ofLinux;  // Compilers take the plain word for a macro.
        NamedEndpoint ofWindows;
    };
    Endpoints endpoints() const
    {
        std::string name = instanceName();
        return {{name, endpointSocket()},
                {name + "-linux", linuxSocket()},
                {name + "-windows", windowsSocket()}};
    }
    std::filesystem::path runDir() const { return root / "run"; }
    std::filesystem::path bridgeSocket() const { return runDir() / "bridge.sock"; }
    std::filesystem::path bridgeLock() const { return runDir() / "bridge.lock"; }
    std::filesystem::path desktopLock() const { return runDir() / "desktop.lock"; }
    std::filesystem::path machineFile() const { return runDir() / "machine.json"; }
    std::filesystem::path tokenFile() const { return runDir() / "token"; }
    std::filesystem::path tunnelDir() const { return runDir() / "tunnel"; }
    std::filesystem::path tunnelSocket() const { return tunnelDir() / "agent.sock"; }
    std::filesystem::path endpointDir() const
    {
        return root / "endpoint";
    }                                                                    // The endpoint's records.
    std::filesystem::path filesDir() const { return root / "files"; }    // The file server's.
    std::filesystem::path dockerCliDir() const { return root / "cli"; }  // The wrapper of docker's.
    std::filesystem::path tlsDir() const { return root / "tls"; }  // Of the endpoint over TCP.
    std::filesystem::path logDir() const { return root / "logs"; }
    std::filesystem::path machineDir() const { return root / "machine"; }

    // The default home is "slipway", any other "slipway-<folder's name>" with what a docker context
    // can't hold replaced by '-'. Names the docker context, the machine's cgroup and its veth.
    std::string instanceName() const;
};

// SLIPWAY_HOME, else ~/.slipway of the invoking user. Refuses one so deep that the sockets in it
// would not fit a socket address, naming the limit. Creates nothing.
Result<Home> slipwayHome();

}  // namespace slipway
