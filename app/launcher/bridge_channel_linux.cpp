#include "app/launcher/bridge_channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

namespace slipway {

std::shared_ptr<grpc::Channel> bridgeChannel(const Home& home)
{
    grpc::ChannelArguments args;
    args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    // The socket is ours alone (0600), so nothing is gained by TLS.
    return grpc::CreateCustomChannel("unix:" + home.bridgeSocket().string(),
                                     grpc::InsecureChannelCredentials(), args);
}

}  // namespace slipway
