// cli/options.h: options whose values are read strictly, so that an unset shell variable or a
// number in another base is wrong usage and never a silent default.
#ifndef HEED_PORTS_CLI_OPTIONS_H_
#define HEED_PORTS_CLI_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <heed/weights.h>

namespace heed::cli {

// Names of the core types, by their numbers.
inline constexpr const char* kCoreNames[] = {"f32", "int8"};
inline constexpr uint32_t kNumCores = sizeof(kCoreNames) / sizeof(kCoreNames[0]);

inline const char* NameOf(CoreType core) { return kCoreNames[static_cast<uint32_t>(core)]; }
inline const char* NameOf(RopeStyle style) {
  return style == RopeStyle::kNone ? "none" : style == RopeStyle::kHalf ? "half" : "interleaved";
}
inline const char* NameOf(WeightType type) { return detail::FormatOf(type).name; }

// --weights and --core. The texts are f32 or what the user gave, names of the type alone.
struct TypeOptions {
  std::string weights = "f32", core = "f32";

  // Sets the two types of a config.
  void Apply(AttentionConfig* config) const;
};
// No option goes together with `excluded`, if given.
void AddTypeOptions(CLI::App* command, TypeOptions* options, CLI::Option* excluded);

// A decimal integer with an optional sign.
CLI::Option* AddInteger(CLI::App* command, const std::string& name, std::optional<int64_t>* value,
                        const std::string& text);
// One decimal integer, or two with a comma between them.
CLI::Option* AddIntegers(CLI::App* command, const std::string& name, std::vector<int64_t>* values,
                         const std::string& text);
// A float: decimal, inf or nan.
CLI::Option* AddFloat(CLI::App* command, const std::string& name, std::optional<float>* value,
                      const std::string& text);
// The same in double precision.
CLI::Option* AddNumber(CLI::App* command, const std::string& name, std::optional<double>* value,
                       const std::string& text);
// An option without a value.
CLI::Option* AddFlag(CLI::App* command, const std::string& name, bool* value,
                     const std::string& text);
// A text that is not empty: a path or a name.
CLI::Option* AddText(CLI::App* command, const std::string& name, std::string* value,
                     const std::string& text);
// The same, any number of times.
CLI::Option* AddTexts(CLI::App* command, const std::string& name, std::vector<std::string>* values,
                      const std::string& text);

// Checks that the value is one of these words.
CLI::Validator OneOf(const std::vector<std::string>& words);

// Returns what a user wrote, in quotes, and cut where it is long.
std::string GivenText(const std::string& text);

// The values of --scale and --softcap; fail (exit code 1) where attention cannot have them. A scale
// of 0 means the default, as in the library.
float CheckedScale(float scale);
float CheckedSoftcap(float softcap);
// The number of an option that counts something, or `absent` where the option is; fails unless it
// is 1 to kMaxDimension.
uint32_t CheckedCount(const char* option, const std::optional<int64_t>& value, uint32_t absent);
// The value of an option that is a finite number above 0; fails otherwise.
double CheckedPositive(const char* option, double value);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_OPTIONS_H_
