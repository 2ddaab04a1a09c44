// cli/file.h: whole files in, whole files out.
#ifndef HEED_PORTS_CLI_FILE_H_
#define HEED_PORTS_CLI_FILE_H_

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace heed::cli {

// Zeroed memory, aligned to 64 bytes as packed files and blocks must be; never null. The system
// gives large ones page by page as they are touched. Throws std::bad_alloc.
class Memory {
 public:
  explicit Memory(size_t size = 0);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  // Keeps the bytes that remain; moves them where it grows.
  void Resize(size_t size);
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  struct Free {
    void operator()(void* base) const { std::free(base); }
  };
  std::unique_ptr<void, Free> base_;
  std::byte* data_;  // inside base_
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
