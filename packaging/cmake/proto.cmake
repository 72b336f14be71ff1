find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

# slipway_proto_library(shared/proto a.proto …): the messages and the gRPC services of a folder, included
# as "shared/proto/a.pb.h" and "shared/proto/a.grpc.pb.h".
function(slipway_proto_library folder)
  string(REPLACE "/" "-" target ${folder})
  set(out ${PROJECT_BINARY_DIR}/${folder})
  file(MAKE_DIRECTORY ${out})
  foreach(proto IN LISTS ARGN)
    get_filename_component(name ${proto} NAME_WE)
    set(made ${out}/${name}.pb.cc ${out}/${name}.pb.h ${out}/${name}.grpc.pb.cc ${out}/${name}.grpc.pb.h)
    add_custom_command(
      OUTPUT ${made}
      COMMAND protobuf::protoc --proto_path=${PROJECT_SOURCE_DIR}
        --cpp_out=${PROJECT_BINARY_DIR} --grpc_out=${PROJECT_BINARY_DIR}
        --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN} ${folder}/${proto}
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
      DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/${proto}
      COMMENT "Generating ${folder}/${proto}")
    list(APPEND sources ${made})
  endforeach()
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} SYSTEM PUBLIC ${PROJECT_BINARY_DIR})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC slipway-grpc)
endfunction()
