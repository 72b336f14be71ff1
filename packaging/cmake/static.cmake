# Libraries linked statically into every program: the agent runs in a machine that is not built from the
# host's packages, and the command line starts in 5 ms instead of 40 with no shared gRPC to load.

pkg_check_modules(GRPC REQUIRED grpc++ protobuf)

# pkg-config's own closure, each library as its archive where there is one, in the order it gave, as one
# group: Debian's .pc files name abseil's libraries in an order that a single pass can't resolve.
function(slipway_static_library target prefix)
  set(archives)
  set(rest)
  foreach(name IN LISTS ${prefix}_STATIC_LIBRARIES)
    find_library(ARCHIVE_${name} NAMES lib${name}.a lib${name}_a.a PATHS ${${prefix}_STATIC_LIBRARY_DIRS})
    if(ARCHIVE_${name} AND NOT name MATCHES "^(c|m|dl|rt|pthread)$")
      list(APPEND archives ${ARCHIVE_${name}})
    else()
      list(APPEND rest ${name})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES archives)
  list(REMOVE_DUPLICATES rest)
  add_library(${target} INTERFACE)
  target_link_libraries(${target} INTERFACE -Wl,--start-group ${archives} -Wl,--end-group ${rest})
endfunction()

slipway_static_library(slipway-grpc GRPC)
slipway_static_library(slipway-uv UV)
slipway_static_library(slipway-cares CARES)
