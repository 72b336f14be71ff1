#include "shared/rpc/status.h"

namespace slipway {

grpc::Status toStatus(const Error& error)
{
    return {static_cast<grpc::StatusCode>(error.code), error.message};
}

grpc::Status toStatus(const Result<>& result)
{
    return result ? grpc::Status::OK : toStatus(result.error());
}

Error fromStatus(const grpc::Status& status)
{
    return {static_cast<Code>(status.error_code()), status.error_message()};
}

}  // namespace slipway
