#include "cli/options.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "cli/error.h"

namespace heed::cli {
namespace {

// Throws CLI11's error of wrong usage.
[[noreturn]] void Refuse(const std::string& name, const std::string& expected,
                         const std::string& got) {
  throw CLI::ValidationError(name, "expected " + expected + ", got " + GivenText(got));
}

// `given` is what the user wrote, of which `text` may be a part.
int64_t ParseInteger(const std::string& name, const std::string& text, const std::string& given) {
  const size_t digits = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  if (digits == text.size() || text.find_first_not_of("0123456789", digits) != std::string::npos) {
    Refuse(name, "a decimal integer", given);
  }
  errno = 0;
  const int64_t value = std::strtoll(text.c_str(), nullptr, 10);
  if (errno == ERANGE) Refuse(name, "an integer of 64 bits", given);
  return value;
}

// `parse` is strtof or strtod.
template <typename T>
T ParseNumber(const std::string& name, const std::string& text, T (*parse)(const char*, char**)) {
  char* end = nullptr;
  const T value = parse(text.c_str(), &end);
  const bool is_blank = text.empty() || text.find_first_of(" \t\n\v\f\r") != std::string::npos;
  if (is_blank || *end != '\0' || text.find('\0') != std::string::npos) {
    Refuse(name, "a number", text);
  }
  // A number that is too small must not become 0, which means the default.
  if (value == T{0} && text.find_first_of("123456789") < text.find_first_of("eE")) {
    Refuse(name, std::string("0 or a number that ") + (sizeof(T) == 4 ? "float32" : "float64") +
                     " holds", text);
  }
  return value;
}

}  // namespace

void TypeOptions::Apply(AttentionConfig* config) const {
  uint32_t type = 0;
  while (weights != NameOf(static_cast<WeightType>(type))) ++type;
  config->weights = static_cast<WeightType>(type);
  config->core = core == "int8" ? CoreType::kInt8 : CoreType::kF32;
}

void AddTypeOptions(CLI::App* command, TypeOptions* options, CLI::Option* excluded) {
  std::vector<std::string> names;
  for (const detail::WeightFormat& format : detail::kWeightFormats) names.push_back(format.name);
  CLI::Option* const all[] = {
      AddText(command, "--weights", &options->weights,
              "how weights are stored: f32, bf16, int8 or int4 (default: f32)")
          ->check(OneOf(names)),
      AddText(command, "--core", &options->core,
              "arithmetic of scores and values: f32 or int8 (default: f32)")
          ->check(OneOf({std::begin(kCoreNames), std::end(kCoreNames)})),
  };
  if (excluded == nullptr) return;
  for (CLI::Option* option : all) option->excludes(excluded);
}

CLI::Validator OneOf(const std::vector<std::string>& words) {
  return CLI::Validator(
      [words](const std::string& given) {
        std::string text = "expected one of";
        for (const std::string& word : words) {
          if (given == word) return std::string();
          text += " " + word + (word == words.back() ? "" : ",");
        }
        return text + ", got " + GivenText(given);
      },
      "");
}

std::string GivenText(const std::string& text) {
  constexpr size_t kMostShown = 60;
  if (text.size() <= kMostShown) return "'" + text + "'";
  size_t end = kMostShown;  // between two characters of UTF-8
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return "'" + text.substr(0, end) + "...'";
}

float CheckedScale(float scale) {
  if (!std::isfinite(scale)) Fail("--scale: expected a finite number, got ", scale);
  return scale;
}

float CheckedSoftcap(float softcap) {
  if (!std::isfinite(softcap) || softcap <= 0.0f) {
    Fail("--softcap: expected a finite number above 0, got ", softcap);
  }
  return softcap;
}

uint32_t CheckedCount(const char* option, const std::optional<int64_t>& value, uint32_t absent) {
  if (!value) return absent;
  if (*value < 1 || *value > kMaxDimension) {
    Fail(option, ": expected 1 to ", kMaxDimension, ", got ", *value);
  }
  return static_cast<uint32_t>(*value);
}

double CheckedPositive(const char* option, double value) {
  if (!std::isfinite(value) || value <= 0.0) {
    Fail(option, ": expected a finite number above 0, got ", value);
  }
  return value;
}

CLI::Option* AddInteger(CLI::App* command, const std::string& name, std::optional<int64_t>* value,
                        const std::string& text) {
  return command->add_option_function<std::string>(
      name,
      [name, value](const std::string& given) { *value = ParseInteger(name, given, given); }, text);
}

CLI::Option* AddIntegers(CLI::App* command, const std::string& name, std::vector<int64_t>* values,
                         const std::string& text) {
  return command->add_option_function<std::string>(
      name,
      [name, values](const std::string& given) {
        const size_t comma = given.find(',');
        *values = {ParseInteger(name, given.substr(0, comma), given)};
        if (comma != std::string::npos) {
          values->push_back(ParseInteger(name, given.substr(comma + 1), given));
        }
      },
      text);
}

CLI::Option* AddFloat(CLI::App* command, const std::string& name, std::optional<float>* value,
                      const std::string& text) {
  return command->add_option_function<std::string>(
      name,
      [name, value](const std::string& given) { *value = ParseNumber(name, given, std::strtof); },
      text);
}

CLI::Option* AddNumber(CLI::App* command, const std::string& name, std::optional<double>* value,
                       const std::string& text) {
  return command->add_option_function<std::string>(
      name,
      [name, value](const std::string& given) { *value = ParseNumber(name, given, std::strtod); },
      text);
}

CLI::Option* AddFlag(CLI::App* command, const std::string& name, bool* value,
                     const std::string& text) {
  return command->add_flag(name, *value, text)->disable_flag_override();
}

CLI::Option* AddText(CLI::App* command, const std::string& name, std::string* value,
                     const std::string& text) {
  return command->add_option_function<std::string>(
      name,
      [name, value](const std::string& given) {
        if (given.empty()) Refuse(name, "a value", given);
        *value = given;
      },
      text);
}

CLI::Option* AddTexts(CLI::App* command, const std::string& name, std::vector<std::string>* values,
                      const std::string& text) {
  return command
      ->add_option_function<std::vector<std::string>>(
          name,
          [name, values](const std::vector<std::string>& given) {
            for (const std::string& value : given) {
              if (value.empty()) Refuse(name, "a value", value);
            }
            *values = given;
          },
          text)
      ->allow_extra_args(false);  // one value follows each
}

}  // namespace heed::cli
