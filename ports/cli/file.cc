#include "cli/file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <utility>
#include <system_error>

#include "cli/error.h"

namespace heed::cli {
namespace {

namespace fs = std::filesystem;

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

std::string Reason() { return std::strerror(errno); }

// A file beside its final place; removed again unless renamed.
class Staged {
 public:
  explicit Staged(const Output& output) : place_(output.path) {
    std::error_code ignored;
    if (fs::is_directory(place_, ignored)) Fail(output.path, ": is a directory");
    for (int links = 0; links < 40 && fs::is_symlink(place_, ignored); ++links) {
      place_ = place_.parent_path() / fs::read_symlink(place_);  // also where it leads nowhere
    }
    // Devices and pipes cannot be replaced: they are written to.
    const bool direct = fs::exists(place_, ignored) && !fs::is_regular_file(place_, ignored);
    if (!direct) staged_ = place_.string() + ".partial-" + std::to_string(getpid());
    const std::string path = direct ? place_.string() : staged_;
    File file(std::fopen(path.c_str(), direct ? "wb" : "wbx"));
    if (file == nullptr) {
      const std::string reason = Reason();
      staged_.clear();
      Fail(output.path, ": cannot write: ", reason);
    }
    bool good = true;
    for (std::string_view part : output.parts) {
      good = good && std::fwrite(part.data(), 1, part.size(), file.get()) == part.size();
    }
    good = std::fclose(file.release()) == 0 && good;
    if (!good) {
      const std::string reason = Reason();
      Remove();
      Fail(output.path, ": cannot write: ", reason);
    }
  }
  Staged(Staged&& other) noexcept
      : place_(std::move(other.place_)), staged_(std::move(other.staged_)) {
    other.staged_.clear();
  }
  ~Staged() { Remove(); }

  void Commit() {
    if (staged_.empty()) return;
    std::error_code error;
    fs::rename(staged_, place_, error);
    if (error) Fail(place_.string(), ": cannot write: ", error.message());
    staged_.clear();
  }

 private:
  void Remove() {
    std::error_code ignored;
    if (!staged_.empty()) fs::remove(staged_, ignored);
    staged_.clear();
  }

  fs::path place_;
  std::string staged_;  // empty: nothing to rename
};

bool SameRegularFile(const std::string& a, const std::string& b) {
  std::error_code error;
  return fs::is_regular_file(a, error) && fs::equivalent(a, b, error) && !error;
}

}  // namespace

Memory::Memory(size_t size) : size_(size) {
  constexpr size_t kAlignment = 64;
  if (size > SIZE_MAX - kAlignment) throw std::bad_alloc();
  base_.reset(std::calloc(size + kAlignment, 1));
  if (base_ == nullptr) throw std::bad_alloc();
  const uintptr_t address = reinterpret_cast<uintptr_t>(base_.get());
  data_ = static_cast<std::byte*>(base_.get()) + (kAlignment - address % kAlignment);
}

void Memory::Resize(size_t size) {
  if (size <= size_) {
    size_ = size;
    return;
  }
  Memory larger(size);
  std::memcpy(larger.data_, data_, size_);
  *this = std::move(larger);
}

Memory ReadFile(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) Fail(path, ": is a directory");
  File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) Fail(path, ": cannot open: ", Reason());
  const auto size = fs::file_size(path, error);
  Memory memory((error ? 0 : static_cast<size_t>(size)) + 1);  // one more, to see the end
  size_t filled = 0;
  for (;;) {
    if (filled == memory.size()) memory.Resize(memory.size() + (memory.size() >> 1) + 4096);
    const size_t got = std::fread(memory.data() + filled, 1, memory.size() - filled, file.get());
    filled += got;
    if (got == 0) break;
  }
  if (std::ferror(file.get()) != 0) Fail(path, ": cannot read: ", Reason());
  memory.Resize(filled);
  return memory;
}

void WriteFiles(const std::vector<Output>& outputs, const std::vector<std::string>& inputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (const std::string& input : inputs) {
      if (SameRegularFile(outputs[i].path, input)) {
        Fail(outputs[i].path, ": expected another file than the input ", input);
      }
    }
    for (size_t j = 0; j < i; ++j) {
      if (outputs[i].path == outputs[j].path) Fail(outputs[i].path, ": two outputs, one file");
    }
  }
  std::vector<Staged> staged;
  staged.reserve(outputs.size());
  for (const Output& output : outputs) staged.emplace_back(output);
  for (Staged& file : staged) file.Commit();
}

}  // namespace heed::cli
