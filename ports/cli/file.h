// cli/file.h: files in, piece by piece; whole files out.
#ifndef HEED_PORTS_CLI_FILE_H_
#define HEED_PORTS_CLI_FILE_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
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

// A file, pipe or device that is read from its start to its end, in pieces and with gaps; nothing
// is read before it is asked for. All calls fail with the system's reason where it cannot be read.
class InputFile {
 public:
  explicit InputFile(const std::string& path);

  const std::string& path() const { return path_; }
  // The file's bytes, as long as nobody changes it; nothing for pipes, devices and files that the
  // system makes up as they are read.
  std::optional<uint64_t> size() const { return size_; }

  // Reads the next `count` bytes, fewer only at the end of the file; returns how many.
  size_t Read(void* to, size_t count);
  // The same, to the end of `memory`, which grows with what comes and not with what is asked for.
  size_t Append(uint64_t count, Memory* memory);
  // Goes on to `offset` bytes from the start, which is not before what was read. False where the
  // file is known to end before.
  bool SkipTo(uint64_t offset);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::optional<uint64_t> size_;
  uint64_t offset_ = 0;
};

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
