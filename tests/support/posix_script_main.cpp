// posix-script: answers scripts (tests/support/files/posix_script.h) from standard input, a line
// each. Static, so that a container without anything else can run it.
#include "tests/support/files/posix_script.h"

int main()
{
    slipway::test::answerScripts();
}
