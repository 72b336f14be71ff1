// A small language for file system calls, so that a case is one line and runs anywhere.
#pragma once

#include <string>
#include <string_view>

namespace slipway::test {

// Runs `script` in the empty folder `folder`, in a process of its own that begins as root with
// umask 022, and gives what each call answered, separated by blanks: ok, a value, or the error's
// name.
//
// Calls are separated by `;`, their words by blanks. `@255` stands for a name of 255 letters. Files
// are named by paths, open ones by a letter. What is not obvious:
//   - as UID [GID [GROUP…]]: the effective ids from here on; `as 0` is root again
//   - stat PATH WHAT…: of type mode uid gid size nlink rdev mtime atime; lstat follows no link
//   - open LETTER PATH FLAG… [MODE]
//   - utime PATH ATIME MTIME: each now, omit, or SECONDS.NANOSECONDS
//   - keep PATH: remembers its times; since PATH: which of mtime and ctime (m, c) are newer
//   - wait: until a change gets a later time than those before
//   - elsewhere CALL: in another process
std::string outcomeOf(const std::string& folder, std::string_view script);

// Answers scripts from standard input, a line each, until it ends. All run in this process and in
// its folder, so that what one has opened the next one has too.
void answerScripts();

}  // namespace slipway::test
