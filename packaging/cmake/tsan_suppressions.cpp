// What ThreadSanitizer is not to report, in every program, as those in the machine read no file of
// ours. It follows only what is built with it. Debian's Qt and gRPC are not, so it takes what they
// hand from one thread to another for a race: what runs in a call to gRPC or back from it is left
// unchecked.
extern "C" const char* __tsan_default_suppressions();

extern "C" const char* __tsan_default_suppressions()
{
    return "called_from_lib:libQt6Core.so\n"
           "called_from_lib:libQt6Test.so\n"
           "race:grpc\n"
           "race:gpr_\n"
           "race:absl::\n"
           "thread:grpc_core::Thread\n"
           // Templates of the standard library of which the linker took the copy in gRPC's
           // archives.
           "race:.isra.\n"
           "race:_M_release_last_use_cold\n";
}
