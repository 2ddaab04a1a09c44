// bench/shapes.cc
#include "bench/shapes.h"

#include <regex>

#include "heed/detail/sizes.h"

namespace heed::bench {

std::vector<Types> HeedTypes(const Shape& shape) {
  if (shape.hides_nothing()) return {Types(), kInt8Types};
  std::vector<Types> chosen;
  for (Types types : kAllTypes) {
    const bool has_int8_core = types.core == CoreType::kInt8;
    if (!shape.is_step()) {
      // A single row that is its own only key is all projections.
      if (!shape.is_cold() || !has_int8_core) chosen.push_back(types);
      continue;
    }
    for (CacheType cache : {CacheType::kF32, CacheType::kBf16, CacheType::kInt8}) {
      types.cache = cache;
      // An int8 core takes no other cache than its own.
      if (!has_int8_core || cache == CacheType::kInt8) chosen.push_back(types);
    }
  }
  return chosen;
}

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
