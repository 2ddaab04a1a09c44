// cli/error.h: what ends the program with `heed: error: ...` and exit code 1.
#ifndef HEED_PORTS_CLI_ERROR_H_
#define HEED_PORTS_CLI_ERROR_H_

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <heed/status.h>

namespace heed::cli {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The text in one line: control characters, which names in files may hold, become spaces.
std::string PlainText(std::string text);

template <typename... Parts>
[[noreturn]] void Fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(PlainText(text.str()));
}

// Fails with the sentence of a status that is not ok; `where` says which file, if any.
void Check(const Status& status, const std::string& where = "");

// "[2, 3]"
std::string ShapeText(const std::vector<size_t>& shape);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_ERROR_H_
