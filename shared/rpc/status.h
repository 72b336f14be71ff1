// The one adapter between our errors and gRPC's.
#pragma once

#include <grpcpp/support/status.h>

#include "shared/core/error.h"

namespace slipway {

grpc::Status toStatus(const Error& error);
grpc::Status toStatus(const Result<>& result);
Error fromStatus(const grpc::Status& status);

}  // namespace slipway
