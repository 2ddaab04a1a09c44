#include "cli/packed.h"

#include <cstdint>

#include "cli/kinds.h"

namespace heed::cli {
namespace {

// The header's field file_bytes.
uint64_t FileBytes(const Memory& header) {
  uint64_t bytes = 0;
  for (size_t i = 8; i > 0; --i) {
    bytes = bytes << 8 | static_cast<uint64_t>(header.data()[15 + i]);
  }
  return bytes;
}

}  // namespace

PackedFile::PackedFile(const std::string& path) {
  InputFile file(path);
  const size_t header_bytes = file.Append(sizes::kHeaderBytes, &memory_);
  CheckKind(path, memory_.text(), Kind::kPacked);
  Status status = Weights::Open(ConstBytes(memory_.data(), header_bytes), &weights_);
  if (header_bytes == sizes::kHeaderBytes) {
    // A good header has one fault: the rest of the file is not there yet.
    const uint64_t bytes = FileBytes(memory_);
    const bool is_good = status.code == StatusCode::kBadHeader &&
                         static_cast<uint64_t>(status.expected) == bytes &&
                         status.actual == static_cast<int64_t>(header_bytes);
    if (is_good) {
      file.Append(bytes - header_bytes + 1, &memory_);
      status = Weights::Open(ConstBytes(memory_.data(), memory_.size()), &weights_);
    }
  }
  Check(status, path);
  const size_t bytes = weights_.bytes().size;
  if (memory_.size() != bytes) {
    Fail(path, ": size: expected ", bytes, " bytes, got ",
         file.size() ? std::to_string(*file.size()) : "more");
  }
  Check(weights_.Verify(), path);
}

}  // namespace heed::cli
