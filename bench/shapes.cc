// bench/shapes.cc
#include "bench/shapes.h"

#include <regex>

#include "heed/detail/sizes.h"

namespace heed::bench {

bool ParseShape(const std::string& text, Shape* shape) {
  static const std::string kNumber = "([0-9]{1,7})";
  static const std::regex kForm(kNumber + "," + kNumber + "," + kNumber + "," + kNumber +
                                "(?:,([a-z]+))?");
  std::smatch parts;
  if (!std::regex_match(text, parts, kForm)) return false;
  const auto number = [&](size_t i) { return static_cast<uint32_t>(std::stoul(parts[i])); };
  Shape parsed;
  parsed.name = text;
  parsed.batch = number(1);
  parsed.query_len = number(2);
  parsed.embed_dim = number(3);
  parsed.num_heads = number(4);
  for (const auto& [name, mask] : kMaskNames) {
    if (parts[5] == name) parsed.mask = mask;
  }
  if (parts[5].matched && parsed.mask == Mask::kNone) return false;
  for (size_t i = 1; i <= 4; ++i) {
    if (!sizes::DimensionOk(number(i))) return false;
  }
  if (parsed.embed_dim % parsed.num_heads != 0) return false;
  *shape = parsed;
  return true;
}

}  // namespace heed::bench
