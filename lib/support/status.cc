// lib/support/status.cc: the text of a Status, without printf.
#include "heed/status.h"

namespace heed {
namespace {

// Appends to a buffer of fixed size. When it is full, the writer goes on counting.
class Writer {
 public:
  Writer(char* buffer, size_t size) : buffer_(buffer), size_(buffer == nullptr ? 0 : size) {}

  void Char(char c) {
    if (length_ + 1 < size_) buffer_[length_] = c;
    ++length_;
  }
  void Text(const char* text) {
    for (; text != nullptr && *text != '\0'; ++text) Char(*text);
  }
  void Number(int64_t value) {
    char digits[20];
    size_t count = 0;
    uint64_t rest = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    do {
      digits[count++] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (value < 0) Char('-');
    while (count > 0) Char(digits[--count]);
  }
  size_t Finish() {
    if (size_ > 0) buffer_[length_ < size_ ? length_ : size_ - 1] = '\0';
    return length_;
  }

 private:
  char* buffer_;
  size_t size_;
  size_t length_ = 0;
};

}  // namespace

const char* StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk: return "ok";
    case StatusCode::kNullPointer: return "null pointer";
    case StatusCode::kBadConfig: return "bad config";
    case StatusCode::kBadValue: return "bad value";
    case StatusCode::kBadShape: return "bad shape";
    case StatusCode::kBadMask: return "bad mask";
    case StatusCode::kOverlap: return "overlap";
    case StatusCode::kMisaligned: return "misaligned";
    case StatusCode::kOverLimit: return "over limit";
    case StatusCode::kBlockTooSmall: return "block too small";
    case StatusCode::kStalePlan: return "stale plan";
    case StatusCode::kBusy: return "busy";
    case StatusCode::kBadMagic: return "not a heed file";
    case StatusCode::kBadVersion: return "bad version";
    case StatusCode::kBadChecksum: return "bad checksum";
    case StatusCode::kBadHeader: return "bad header";
    case StatusCode::kConfigMismatch: return "config mismatch";
    case StatusCode::kBadPayload: return "bad payload";
    case StatusCode::kUnknownTarget: return "unknown target";
    case StatusCode::kUnsupported: return "unsupported";
    case StatusCode::kBackendFailed: return "backend failed";
    case StatusCode::kInternal: return "internal error";
  }
  return "unknown status";
}

size_t FormatStatus(const Status& status, char* buffer, size_t size) {
  Writer writer(buffer, size);
  writer.Text(StatusCodeName(status.code));
  if (status.argument != nullptr) {
    writer.Text(": ");
    writer.Text(status.argument);
  }
  if (status.expectation != nullptr) {
    writer.Text(": ");
    writer.Text(status.expectation);
  }
  const bool has_numbers = !status.ok() && status.code != StatusCode::kNullPointer &&
                           status.code != StatusCode::kOverlap &&
                           status.code != StatusCode::kBusy &&
                           status.code != StatusCode::kUnknownTarget &&
                           status.code != StatusCode::kInternal;
  if (has_numbers) {
    writer.Text(": expected ");
    writer.Number(status.expected);
    writer.Text(", got ");
    writer.Number(status.actual);
  }
  return writer.Finish();
}

}  // namespace heed
