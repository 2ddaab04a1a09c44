// tests/cli/program.h: runs the heed program in a folder of its own and judges what it says.
#ifndef HEED_TESTS_CLI_PROGRAM_H_
#define HEED_TESTS_CLI_PROGRAM_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace heed::test {

using Words = std::vector<std::string>;
Words operator+(Words a, const Words& b);

// How a run of the program ended.
struct Outcome {
  int exit_code = -1;  // -1: by a signal
  int signal = 0;      // SIGKILL: it took longer than two minutes
  std::string out, err;
  double cpu_seconds = 0;  // the user's time and the system's
  size_t peak_bytes = 0;   // the most memory that it touched; not less than this test's own
};

// heed ARGS, in a cross build behind the words of HEED_EMULATOR; stdout may go to a file instead.
Outcome Heed(const Words& args, const std::string& stdout_path = "");
// The same for a run that must succeed without a word on stderr; returns stdout.
std::string HeedOk(const Words& args);

// Under an emulator or a sanitizer a start of the program takes 30 to 100 ms instead of 2: tests
// of thousands of broken files then take samples.
bool StartsAreSlow();
inline size_t Stride(size_t usual, size_t slow) { return StartsAreSlow() ? slow : usual; }

// A fresh folder below the system's temporary one; goes with all its files.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  // Writes (or replaces) a file and returns its path.
  std::string Write(const std::string& name, const std::string& contents) const;
  std::string Read(const std::string& name) const;  // fails the test where it is absent
  bool Has(const std::string& name) const;
  // Names of all files and folders inside, with the files' contents.
  std::map<std::string, std::string> Contents() const;

 private:
  std::string path_;
};

// The run ended with `exit_code`, nothing on stdout, and on stderr one line of plain text,
// "heed: error: ...", that contains each of `words`.
void CheckError(const Outcome& outcome, int exit_code, const Words& words);

// The same of heed ARGS, which must leave the folder as it was: no output, nothing half written.
// Where `output` names a file of the folder that ARGS would write, the same is then tried with that
// file present, which must survive.
void CheckRefused(const Folder& folder, const Words& args, int exit_code, const Words& words,
                  const std::string& output = "");

// For broken files by the thousand: exit 0 in silence, or exit 1 with an error line. True for 0.
bool Survives(const Words& args);

}  // namespace heed::test

#endif  // HEED_TESTS_CLI_PROGRAM_H_
