// tests/cli/program.cc
#include "tests/cli/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

#include "tests/support/effort.h"
#include "tests/support/npy.h"

namespace heed::test {
namespace {

namespace fs = std::filesystem;

constexpr time_t kSeconds = 120;
constexpr bool kSanitized = kIsSanitized;  // reserves terabytes of addresses for itself

const Words& EmulatorWords() {
  static const Words kWords = [] {
    const char* variable = std::getenv("HEED_EMULATOR");
    std::istringstream text(variable == nullptr ? "" : variable);
    Words words;
    for (std::string word; text >> word;) words.push_back(word);
    return words;
  }();
  return kWords;
}

// A file without a name, so that folders hold only what the program wrote.
class Capture {
 public:
  Capture() : file_(std::tmpfile()) { REQUIRE(file_ != nullptr); }
  ~Capture() { std::fclose(file_); }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  int descriptor() const { return fileno(file_); }
  std::string Text() const {
    std::rewind(file_);
    std::string text;
    char buffer[4096];
    while (const size_t got = std::fread(buffer, 1, sizeof(buffer), file_)) {
      text.append(buffer, got);
    }
    return text;
  }

 private:
  std::FILE* file_;
};

// A broken file may ask for any amount of memory, and must not take the machine with it. Four
// gigabytes are ample for every call in these tests. Children inherit the limit.
class MemoryLimit {
 public:
  MemoryLimit() {
    if (kSanitized) {
      setenv("ASAN_OPTIONS", "max_allocation_size_mb=4096", /*overwrite=*/0);
    } else if (EmulatorWords().empty()) {
      getrlimit(RLIMIT_AS, &before_);
      const rlimit limit = {std::min(rlim_t{4} << 30, before_.rlim_cur), before_.rlim_max};
      is_set_ = setrlimit(RLIMIT_AS, &limit) == 0;
    }
  }
  ~MemoryLimit() {
    if (is_set_) setrlimit(RLIMIT_AS, &before_);
  }

 private:
  rlimit before_ = {};
  bool is_set_ = false;
};

// Starts the program; its signal mask is `mask`.
pid_t Start(const Words& words, int out, int err, const sigset_t& mask) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &mask);
  const MemoryLimit limit;
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  REQUIRE(error == 0);
  return child;
}

// The child's status and what it used; kills it where it takes too long. SIGCHLD is blocked.
int Wait(pid_t child, const sigset_t& child_ended, rusage* usage) {
  const timespec longest = {kSeconds, 0};
  if (sigtimedwait(&child_ended, nullptr, &longest) < 0 && errno == EAGAIN) kill(child, SIGKILL);
  int status = 0;
  REQUIRE(wait4(child, &status, 0, usage) == child);
  return status;
}

std::string Joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

bool StartsAreSlow() { return kSanitized || !EmulatorWords().empty(); }

Outcome Heed(const Words& args, const std::string& stdout_path) {
  const Capture out, err;
  const int file = stdout_path.empty() ? -1 : open(stdout_path.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE((stdout_path.empty() || file >= 0));
  sigset_t child_ended, before;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child_ended, &before);
  const pid_t child = Start(EmulatorWords() + Words{HEED_CLI_PATH} + args,
                            file >= 0 ? file : out.descriptor(), err.descriptor(), before);
  rusage usage = {};
  const int status = Wait(child, child_ended, &usage);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (file >= 0) close(file);
  Outcome outcome;
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  outcome.out = out.Text();
  outcome.err = err.Text();
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  outcome.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  outcome.peak_bytes = static_cast<size_t>(usage.ru_maxrss) * 1024;
  return outcome;
}

std::string HeedOk(const Words& args) {
  const std::string command = Joined(args);
  const Outcome outcome = Heed(args);
  INFO("heed ", command);
  INFO("stderr: ", outcome.err);
  CHECK(outcome.signal == 0);
  REQUIRE(outcome.exit_code == 0);
  CHECK(outcome.err.empty());
  return outcome.out;
}

Folder::Folder() {
  std::string pattern = (fs::temp_directory_path() / "heed-test-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string Folder::Write(const std::string& name, const std::string& contents) const {
  std::ofstream file(Path(name), std::ios::binary | std::ios::trunc);
  file.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  file.close();
  REQUIRE(file.good());
  return Path(name);
}

std::string Folder::Read(const std::string& name) const {
  std::string contents;
  CAPTURE(name);
  REQUIRE(ReadFile(Path(name), &contents));
  return contents;
}

bool Folder::Has(const std::string& name) const { return fs::exists(Path(name)); }

std::map<std::string, std::string> Folder::Contents() const {
  std::map<std::string, std::string> contents;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
    std::string& bytes = contents[entry.path().filename().string()];
    if (entry.is_regular_file()) ReadFile(entry.path().string(), &bytes);
  }
  return contents;
}

std::string WhatIsWrong(const Outcome& outcome, int exit_code, const Words& words) {
  std::string wrong;
  const auto expect = [&wrong](bool good, const std::string& text) {
    if (!good) wrong += (wrong.empty() ? "" : "; ") + text;
  };
  const std::string& line = outcome.err;
  expect(outcome.signal == 0, "ended by signal " + std::to_string(outcome.signal));
  expect(outcome.exit_code == exit_code, "exit code " + std::to_string(outcome.exit_code) +
                                             ", wanted " + std::to_string(exit_code));
  expect(outcome.out.empty(), "it printed " + outcome.out);
  const std::string start = "heed: error: ";
  expect(line.rfind(start, 0) == 0, "no error line");
  expect(line.size() > start.size() + 1 && line.back() == '\n', "no whole line");
  size_t control_characters = 0;
  for (const char c : line) control_characters += static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  expect(control_characters <= 1, "more than one line of plain text");
  for (const std::string& word : words) {
    expect(line.find(word) != std::string::npos, "the error does not say '" + word + "'");
  }
  return wrong.empty() ? "" : wrong + "\n  stderr: " + line;
}

void CheckError(const Outcome& outcome, int exit_code, const Words& words) {
  const std::string wrong = WhatIsWrong(outcome, exit_code, words);
  CHECK_MESSAGE(wrong.empty(), wrong);
}

void CheckRefused(const Folder& folder, const Words& args, int exit_code, const Words& words,
                  const std::string& output) {
  const std::string command = Joined(args);
  for (const bool output_exists : {false, true}) {
    if (output_exists) {
      if (output.empty()) break;
      folder.Write(output, "keep me");
    }
    const auto before = folder.Contents();
    std::string wrong = WhatIsWrong(Heed(args), exit_code, words);
    if (folder.Contents() != before) wrong += "\n  the files changed";
    CHECK_MESSAGE(wrong.empty(), "heed ", command, "\n  ", wrong);
    if (!wrong.empty()) break;
  }
  if (!output.empty()) fs::remove(folder.Path(output));
}

bool Survives(const Words& args) {
  const Outcome outcome = Heed(args);
  if (outcome.exit_code == 0) {
    CHECK(outcome.err == "");
    return true;
  }
  CheckError(outcome, 1, {});
  return false;
}

}  // namespace heed::test
