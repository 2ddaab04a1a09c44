#include "cli/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

std::string Reason() { return std::strerror(errno); }

// Follows the links of a path, also where they lead to nothing.
fs::path Target(fs::path path) {
  std::error_code ignored;
  for (int links = 0; links < 40 && fs::is_symlink(path, ignored); ++links) {
    path = path.parent_path() / fs::read_symlink(path);
  }
  return path;
}

// True if both paths lead to one file, which need not be there yet.
bool IsOneFile(const std::string& a, const std::string& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error) && !error) return true;
  const auto place = [&error](const std::string& path) {
    return fs::weakly_canonical(fs::absolute(Target(path)), error);
  };
  const fs::path first = place(a), second = place(b);
  return a == b || (!error && first == second);
}

// A file beside its final place; removed again unless renamed.
class Staged {
 public:
  explicit Staged(const Output& output) : place_(output.path) {
    std::error_code ignored;
    if (fs::is_directory(place_, ignored)) Fail(output.path, ": is a directory");
    // Devices and pipes cannot be replaced: they are written to. Nor do their links, such as
    // /dev/stdout, lead to a path.
    const bool direct = fs::exists(place_, ignored) && !fs::is_regular_file(place_, ignored);
    if (!direct) place_ = Target(place_);
    if (!direct) staged_ = place_.string() + ".partial-" + std::to_string(getpid());
    const std::string path = direct ? place_.string() : staged_;
    std::FILE* const file = std::fopen(path.c_str(), direct ? "wb" : "wbx");
    if (file == nullptr) {
      const std::string reason = Reason();
      staged_.clear();
      Fail(output.path, ": cannot write: ", reason);
    }
    bool good = true;
    for (std::string_view part : output.parts) {
      good = good && std::fwrite(part.data(), 1, part.size(), file) == part.size();
    }
    good = std::fclose(file) == 0 && good;
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

InputFile::InputFile(const std::string& path) : path_(path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) Fail(path, ": is a directory");
  file_.reset(std::fopen(path.c_str(), "rb"));
  if (file_ == nullptr) Fail(path, ": cannot open: ", Reason());
  struct stat status;
  // Files of /proc are regular ones of 0 bytes, and yet have contents.
  if (fstat(fileno(file_.get()), &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    size_ = static_cast<uint64_t>(status.st_size);
  }
}

size_t InputFile::Read(void* to, size_t count) {
  const size_t got = std::fread(to, 1, count, file_.get());
  if (got < count && std::ferror(file_.get()) != 0) Fail(path_, ": cannot read: ", Reason());
  offset_ += got;
  return got;
}

size_t InputFile::Append(uint64_t count, Memory* memory) {
  const size_t begin = memory->size();
  // One byte more than the file is known to have, so that its end is seen at once.
  uint64_t step = size_ && *size_ > offset_ ? *size_ - offset_ + 1 : 1 << 16;
  for (size_t filled = begin;;) {
    const uint64_t left = count - (filled - begin);
    if (std::min(step, left) > SIZE_MAX - filled) throw std::bad_alloc();
    const size_t wanted = static_cast<size_t>(std::min(step, left));
    memory->Resize(filled + wanted);
    const size_t got = Read(memory->data() + filled, wanted);
    filled += got;
    if (got < wanted || wanted == left) {
      memory->Resize(filled);
      return filled - begin;
    }
    step = filled;
  }
}

bool InputFile::SkipTo(uint64_t offset) {
  if (size_) {
    if (offset > *size_) return false;
    if (fseeko(file_.get(), static_cast<off_t>(offset), SEEK_SET) != 0) {
      Fail(path_, ": cannot read: ", Reason());
    }
    offset_ = offset;
    return true;
  }
  char ignored[1 << 14];
  while (offset_ < offset) {
    const uint64_t left = offset - offset_;
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(left, sizeof(ignored)));
    if (Read(ignored, wanted) < wanted) return false;
  }
  return true;
}

void WriteFiles(const std::vector<Output>& outputs, const std::vector<std::string>& inputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (const std::string& input : inputs) {
      if (SameRegularFile(outputs[i].path, input)) {
        Fail(outputs[i].path, ": expected another file than the input ", input);
      }
    }
    for (size_t j = 0; j < i; ++j) {
      if (IsOneFile(outputs[i].path, outputs[j].path)) {
        Fail(outputs[i].path, ": expected another file than the output ", outputs[j].path);
      }
    }
  }
  std::vector<Staged> staged;
  staged.reserve(outputs.size());
  for (const Output& output : outputs) staged.emplace_back(output);
  for (Staged& file : staged) file.Commit();
}

}  // namespace heed::cli
