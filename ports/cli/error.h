// cli/error.h: what ends the program with `heed: error: ...` and exit code 1, and how names that a
// file holds are shown in it.
#ifndef HEED_PORTS_CLI_ERROR_H_
#define HEED_PORTS_CLI_ERROR_H_

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <heed/status.h>

namespace heed::cli {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The text in one line of at most 1,000 bytes that a terminal shows as it is. Characters that are
// not shown or that move others (control, bidirectional and zero-width ones) become \x1b or \u202e,
// bytes that are not UTF-8 become \xff, and the middle of a longer text becomes "...".
std::string PlainText(std::string_view text);

// 'text', or a JSON string ("a\u001bb") where the text holds a quote, a backslash, a character that
// is not shown, or bytes that are not UTF-8 (\ufffd). This is how `pack --list` writes values.
std::string Quoted(std::string_view text);

// A name in a message: as it is, or Quoted where it is empty or holds what Quoted escapes or a
// space. The middle of a name of more than 200 bytes becomes "...".
std::string NameText(std::string_view name);

template <typename... Parts>
[[noreturn]] void Fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(PlainText(text.str()));
}

// Fails with the sentence of a status that is not ok; `where` says which file, if any.
void Check(const Status& status, const std::string& where = "");

// `bytes`, a size that the library computed; fails where it is 0, which stands for more than there
// are addresses. `what` needs the memory.
size_t CheckedBytes(const char* what, size_t bytes);

// "[2, 3]"
std::string ShapeText(const std::vector<size_t>& shape);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_ERROR_H_
