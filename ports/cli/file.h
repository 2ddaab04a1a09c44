// cli/file.h: whole files in, whole files out.
#ifndef HEED_PORTS_CLI_FILE_H_
#define HEED_PORTS_CLI_FILE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace heed::cli {

// Zeroed memory, aligned to 64 bytes as packed files and blocks must be; never null.
class Memory {
 public:
  explicit Memory(size_t size = 0) : lines_(size / sizeof(Line) + 1), size_(size) {}

  std::byte* data() { return lines_[0].bytes; }
  const std::byte* data() const { return lines_[0].bytes; }
  size_t size() const { return size_; }
  // Keeps the bytes that remain; may move them.
  void Resize(size_t size) {
    lines_.resize(size / sizeof(Line) + 1);
    size_ = size;
  }
  std::string_view text() const { return {reinterpret_cast<const char*>(data()), size_}; }

 private:
  struct alignas(64) Line {
    std::byte bytes[64] = {};
  };
  std::vector<Line> lines_;
  size_t size_;
};

// Fails with the system's reason where the file cannot be read.
Memory ReadFile(const std::string& path);

// A file to be written: its parts, one after the other.
struct Output {
  std::string path;
  std::vector<std::string_view> parts;
};
// All files appear whole, or none does: each is written beside its place and then renamed.
// Fails where an output is one of the `inputs` (which would be lost) or given twice.
void WriteFiles(const std::vector<Output>& outputs, const std::vector<std::string>& inputs);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_FILE_H_
