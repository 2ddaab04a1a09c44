#include "cli/error.h"

namespace heed::cli {

void Check(const Status& status, const std::string& where) {
  if (status.ok()) return;
  char sentence[256];
  FormatStatus(status, sentence, sizeof(sentence));
  if (where.empty()) Fail(sentence);
  Fail(where, ": ", sentence);
}

std::string PlainText(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string ShapeText(const std::vector<size_t>& shape) {
  constexpr size_t kMostShown = 8;
  std::string text = "[";
  for (size_t i = 0; i < shape.size() && i < kMostShown; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  if (shape.size() > kMostShown) text += ", ... " + std::to_string(shape.size()) + " dimensions";
  return text + "]";
}

}  // namespace heed::cli
