#include "cli/error.h"

#include <cstdio>

namespace heed::cli {
namespace {

constexpr size_t kMaxMessage = 1000;  // bytes
constexpr size_t kMaxName = 200;

struct Character {
  uint32_t code;
  size_t bytes;  // 0: these bytes are not UTF-8
};

Character FirstCharacter(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(text[i] & 0xff); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {first, 0};
  uint32_t code = first & (0x7f >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {first, 0};
    code = code << 6 | (byte(i) & 0x3f);
  }
  const uint32_t least[] = {0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < least[bytes - 2] || code > 0x10ffff || is_surrogate) return {first, 0};
  return {code, bytes};
}

// False for characters that a terminal does not show, or that change how it shows others.
bool IsShown(uint32_t code) {
  static constexpr struct {
    uint32_t first, last;
  } kHidden[] = {
      {0x0, 0x1f},         {0x7f, 0x9f},       {0xad, 0xad},       {0x34f, 0x34f},
      {0x61c, 0x61c},      {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f},
      {0x200b, 0x200f},    {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164},
      {0xfe00, 0xfe0f},    {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
      {0x1bca0, 0x1bca3},  {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
  };
  for (const auto& range : kHidden) {
    if (code >= range.first && code <= range.last) return false;
  }
  return true;
}

std::string Hex(const char* format, uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof(text), format, static_cast<unsigned>(value));
  return text;
}

// The text with Escape(character) instead of those that are not shown or not UTF-8.
template <typename Escape>
std::string Escaped(std::string_view text, const Escape& escape) {
  std::string escaped;
  while (!text.empty()) {
    const Character c = FirstCharacter(text);
    const size_t bytes = c.bytes == 0 ? 1 : c.bytes;
    if (c.bytes == 0 || !IsShown(c.code)) {
      escaped += escape(c);
    } else {
      escaped += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return escaped;
}

// At most `most` bytes, with "..." instead of the middle; no UTF-8 character is cut.
std::string Shortened(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  const auto inside = [&](size_t at) { return (text[at] & 0xc0) == 0x80; };
  size_t head = most / 2, tail = text.size() - (most - 3 - head);
  for (int i = 0; i < 3 && head > 0 && inside(head); ++i) --head;
  for (int i = 0; i < 3 && tail < text.size() && inside(tail); ++i) ++tail;
  return std::string(text.substr(0, head)) + "..." + std::string(text.substr(tail));
}

std::string JsonText(std::string_view text) {
  std::string quoted;
  for (const char c : text) quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
  return '"' + Escaped(quoted, [](const Character& c) {
    if (c.bytes == 0) return std::string("\\ufffd");
    if (c.code < 0x10000) return Hex("\\u%04x", c.code);
    const uint32_t above = c.code - 0x10000;
    return Hex("\\u%04x", 0xd800 + (above >> 10)) + Hex("\\u%04x", 0xdc00 + (above & 0x3ff));
  }) + '"';
}

}  // namespace

void Check(const Status& status, const std::string& where) {
  if (status.ok()) return;
  char sentence[256];
  FormatStatus(status, sentence, sizeof(sentence));
  if (where.empty()) Fail(sentence);
  Fail(where, ": ", sentence);
}

size_t CheckedBytes(const char* what, size_t bytes) {
  if (bytes == 0) Fail(what, " needs more memory than there are addresses");
  return bytes;
}

std::string PlainText(std::string_view text) {
  // Text that is cut away need not be escaped first: no escape is shorter than its character.
  return Shortened(Escaped(Shortened(text, 2 * kMaxMessage), [](const Character& c) {
    if (c.bytes == 0 || c.code < 0x80) return Hex("\\x%02x", c.code);
    return Hex(c.code < 0x10000 ? "\\u%04x" : "\\U%08x", c.code);
  }), kMaxMessage);
}

std::string Quoted(std::string_view text) {
  const std::string json = JsonText(text);
  const bool as_it_is = json.size() == text.size() + 2 && text.find('\'') == std::string_view::npos;
  return as_it_is ? "'" + std::string(text) + "'" : json;
}

std::string NameText(std::string_view name) {
  const std::string text = Shortened(name, kMaxName);
  const std::string quoted = Quoted(text);
  const bool as_it_is = quoted[0] == '\'' && !text.empty() && text.find(' ') == std::string::npos;
  return as_it_is ? text : quoted;
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
