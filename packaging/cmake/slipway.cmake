# The build helper: one static library a folder, programs, tests. Platform files are chosen here and
# nowhere else: x_linux.cpp is built on Linux, x_windows.cpp on Windows, x.cpp everywhere.

if(WIN32)
  set(SLIPWAY_OTHER_PLATFORM "_linux\\.cpp$")
else()
  set(SLIPWAY_OTHER_PLATFORM "_windows\\.cpp$")
endif()

add_library(slipway-options INTERFACE)
target_compile_features(slipway-options INTERFACE cxx_std_20)
target_compile_options(slipway-options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers -Werror)
target_compile_definitions(slipway-options INTERFACE BOOST_PROCESS_USE_STD_FS)
target_include_directories(slipway-options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
if(NOT MSVC)
  # The agent finds in the machine no library but those it uses; with sanitizers gcc would name all.
  target_link_options(slipway-options INTERFACE -Wl,--as-needed)
endif()
if(SLIPWAY_SANITIZE)
  # The sanitizer's own library is linked statically: the machine's root file system has none.
  set(sanitized "$<NOT:$<BOOL:$<TARGET_PROPERTY:SLIPWAY_UNSANITIZED>>>:")
  target_compile_options(slipway-options INTERFACE
    "$<${sanitized}-fsanitize=${SLIPWAY_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
  # clang's are static unless told otherwise.
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    set(static ";-static-libasan;-static-libubsan;-static-libtsan")
  endif()
  target_link_options(slipway-options INTERFACE "$<${sanitized}-fsanitize=${SLIPWAY_SANITIZE}${static}>")
endif()
add_library(slipway-sanitizer INTERFACE)  # What only programs link, and no library.
if(SLIPWAY_SANITIZE MATCHES thread)
  add_library(tsan-suppressions OBJECT ${CMAKE_CURRENT_LIST_DIR}/tsan_suppressions.cpp)
  target_sources(slipway-sanitizer INTERFACE $<TARGET_OBJECTS:tsan-suppressions>)
endif()

# "shared/core" -> "shared-core"; any other name is a library from outside and stays as it is.
function(slipway_link target visibility)
  foreach(name IN LISTS ARGN)
    string(REPLACE "/" "-" name "${name}")
    target_link_libraries(${target} ${visibility} ${name})
  endforeach()
endfunction()

function(slipway_sources folder out)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "${SLIPWAY_OTHER_PLATFORM}")
  list(FILTER sources EXCLUDE REGEX "/(main|[a-z_]+_main)\\.cpp$")
  set(${out} ${sources} PARENT_SCOPE)
endfunction()

# slipway_library(shared/io LINKS shared/core uv): every .cpp of the folder but its main files.
function(slipway_library folder)
  cmake_parse_arguments(ARG "QT" "" "LINKS;EXCLUDE" ${ARGN})
  string(REPLACE "/" "-" target ${folder})
  slipway_sources(${folder} sources)
  foreach(pattern IN LISTS ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${pattern}")
  endforeach()
  if(sources)
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PUBLIC slipway-options)
    slipway_link(${target} PUBLIC ${ARG_LINKS})
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE slipway-options)
    slipway_link(${target} INTERFACE ${ARG_LINKS})
  endif()
  if(ARG_QT)
    file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.h)
    target_sources(${target} PRIVATE ${headers})
    set_target_properties(${target} PROPERTIES AUTOMOC ON AUTORCC ON)
  endif()
endfunction()

# What users run, without the tests: ninja programs.
add_custom_target(programs)

# slipway_program(slipway SOURCES app/cli/main.cpp LINKS app/cli)
function(slipway_program target)
  cmake_parse_arguments(ARG "STATIC" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${target} ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE slipway-options slipway-sanitizer)
  slipway_link(${target} PRIVATE ${ARG_LINKS})
  # No sanitizer works in a static program: one without libraries of ours goes without, another is not static.
  if(ARG_STATIC AND NOT (SLIPWAY_SANITIZE AND ARG_LINKS))
    target_link_options(${target} PRIVATE -static)
    set_target_properties(${target} PROPERTIES SLIPWAY_UNSANITIZED ON)
  endif()
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  add_dependencies(programs ${target})
endfunction()

# slipway_test(tests/unit/core/tst_error.cpp LINKS shared/core): one Qt Test program, one ctest entry.
# LABELS say what a test needs (root, fuse, engine, display); tests/run reads them. GUI: it draws, and no
# screen has to be there. RELAYED: two more entries, with streams relayed through the agent, and many by few,
# as they are where the machine has a kernel of its own. FUSE: one with files shared over the file relay.
function(slipway_test source)
  cmake_parse_arguments(ARG "GUI;RELAYED;FUSE" "TIMEOUT" "LINKS;LABELS;DEPENDS" ${ARGN})
  get_filename_component(target ${source} NAME_WE)
  get_filename_component(folder ${source} DIRECTORY)
  string(REGEX REPLACE "^tests/" "" suite ${folder})
  add_executable(${target} ${PROJECT_SOURCE_DIR}/${source})
  set_target_properties(${target} PROPERTIES AUTOMOC ON RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_link_libraries(${target} PRIVATE slipway-options slipway-sanitizer Qt6::Test)
  slipway_link(${target} PRIVATE ${ARG_LINKS})
  if(ARG_DEPENDS)
    add_dependencies(${target} ${ARG_DEPENDS})
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  set(environment SLIPWAY_BIN=${PROJECT_BINARY_DIR}/bin)
  if(ARG_GUI)
    list(APPEND environment QT_QPA_PLATFORM=offscreen)
  endif()
  add_test(NAME ${suite}/${target} COMMAND ${target})
  set_tests_properties(${suite}/${target} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
    ENVIRONMENT "${environment}")
  if(ARG_RELAYED)
    foreach(way relayed multiplexed)
      add_test(NAME ${suite}/${target}_${way} COMMAND ${target})
      set_tests_properties(${suite}/${target}_${way} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
        ENVIRONMENT "${environment};SLIPWAY_STREAMS=${way}")
    endforeach()
  endif()
  if(ARG_FUSE)
    add_test(NAME ${suite}/${target}_fuse COMMAND ${target})
    set_tests_properties(${suite}/${target}_fuse PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
      ENVIRONMENT "${environment};SLIPWAY_FILES=fuse")
  endif()
endfunction()
