#include "cli/rope.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "cli/error.h"
#include "cli/npy.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

constexpr double kTwoPi = 6.283185307179586;

// In the order of RopeScalingKind.
constexpr const char* kKindNames[] = {"default", "linear", "llama3", "yarn"};

// The attention factor that YaRN's authors found for texts `factor` times longer.
double YarnFactor(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

// A wave that is longer than the training's positions is stretched by the factor, a short one is
// kept, and those between are mixed.
double Llama3(double frequency, const RopeScaling& s) {
  const double turns = s.original_max_position_embeddings * frequency / kTwoPi;
  const double kept =
      std::clamp((turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor), 0.0, 1.0);
  return (1.0 - kept) * (frequency / s.factor) + kept * frequency;
}

// Pairs that turn beta_fast times or more in the training's positions are kept, those that turn
// beta_slow times or less are stretched, with a straight ramp from pair to pair between them.
void ScaleAsYarn(double theta, size_t dims, const RopeScaling& s,
                 std::vector<double>* frequencies) {
  const double last = static_cast<double>(dims) - 1.0;
  const auto pair_with_turns = [&](double turns) {
    return static_cast<double>(dims) *
           std::log(s.original_max_position_embeddings / (turns * kTwoPi)) /
           (2.0 * std::log(theta));
  };
  double low = pair_with_turns(s.beta_fast), high = pair_with_turns(s.beta_slow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, last);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies->size(); ++i) {
    double& frequency = (*frequencies)[i];
    const double stretched = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequency = stretched * (frequency / s.factor) + (1.0 - stretched) * frequency;
  }
}

double ParsePart(const std::string& part, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(part.c_str(), &end);
  if (part.empty() || *end != '\0' || part.find_first_of(" \t\n\v\f\r") != part.npos) {
    Fail("--rope-scaling: expected KIND:FACTOR[,NAME=VALUE]..., got ", GivenText(text));
  }
  return value;
}

}  // namespace

std::string TextOf(const RopeScaling& scaling) {
  if (scaling.kind == RopeScalingKind::kNone) return "none";
  return std::string(kKindNames[static_cast<size_t>(scaling.kind)]) + " " +
         NumberText(scaling.factor);
}

std::optional<RopeScalingKind> RopeScalingKindOf(std::string_view name) {
  const auto kind = std::find(std::begin(kKindNames), std::end(kKindNames), name);
  if (kind == std::end(kKindNames)) return std::nullopt;
  return static_cast<RopeScalingKind>(kind - std::begin(kKindNames));
}

RopeScaling ParseRopeScaling(const std::string& text) {
  RopeScaling s;
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  const std::optional<RopeScalingKind> kind = RopeScalingKindOf(name);
  const bool is_default = kind == RopeScalingKind::kNone;
  if (!kind || is_default != (colon == text.npos)) {
    Fail("--rope-scaling: expected default, linear:FACTOR, llama3:FACTOR[,NAME=VALUE]... or "
         "yarn:FACTOR[,NAME=VALUE]..., got ", GivenText(text));
  }
  s.kind = *kind;
  if (is_default) return s;
  double attention_factor = 0.0;
  std::vector<std::pair<const char*, double*>> fields = {{"factor", &s.factor}};
  if (s.kind != RopeScalingKind::kLinear) {
    fields.push_back({"original_max_position_embeddings", &s.original_max_position_embeddings});
  }
  if (s.kind == RopeScalingKind::kLlama3) {
    fields.push_back({"low_freq_factor", &s.low_freq_factor});
    fields.push_back({"high_freq_factor", &s.high_freq_factor});
  } else if (s.kind == RopeScalingKind::kYarn) {
    fields.push_back({"attention_factor", &attention_factor});
    fields.push_back({"beta_fast", &s.beta_fast});
    fields.push_back({"beta_slow", &s.beta_slow});
  }
  for (size_t begin = colon + 1, index = 0; begin != 0; ++index) {
    const size_t comma = text.find(',', begin);
    const std::string part = text.substr(begin, comma == text.npos ? comma : comma - begin);
    const size_t equals = part.find('=');
    const std::string field = equals == part.npos && index == 0 ? "factor" : part.substr(0, equals);
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [&](const auto& known) { return known.first == field; });
    if (found == fields.end() || (equals == part.npos && index != 0)) {
      Fail("--rope-scaling: ", name, ": expected FACTOR, then NAME=VALUE, got ", GivenText(part));
    }
    *found->second = ParsePart(equals == part.npos ? part : part.substr(equals + 1), text);
    if (found->second == &attention_factor) s.attention_factor = attention_factor;
    fields.erase(found);  // each is given once
    begin = comma == text.npos ? 0 : comma + 1;
  }
  CheckRopeScaling("--rope-scaling: ", s);
  return s;
}

void CheckRopeScaling(const std::string& where, const RopeScaling& s) {
  const auto check = [&](const char* name, double value) {
    if (std::isfinite(value) && value > 0.0) return;
    Fail(where, name, ": expected a finite number above 0, got ", NumberText(value));
  };
  if (s.kind == RopeScalingKind::kNone) return;
  check("factor", s.factor);
  if (s.kind == RopeScalingKind::kLinear) return;
  check("original_max_position_embeddings", s.original_max_position_embeddings);
  if (s.kind == RopeScalingKind::kLlama3) {
    check("low_freq_factor", s.low_freq_factor);
    check("high_freq_factor", s.high_freq_factor);
    if (s.high_freq_factor <= s.low_freq_factor) {
      Fail(where, "high_freq_factor: expected a number above low_freq_factor ",
           NumberText(s.low_freq_factor), ", got ", NumberText(s.high_freq_factor));
    }
    return;
  }
  check("beta_fast", s.beta_fast);
  check("beta_slow", s.beta_slow);
  if (s.beta_fast <= s.beta_slow) {
    Fail(where, "beta_fast: expected a number above beta_slow ", NumberText(s.beta_slow), ", got ",
         NumberText(s.beta_fast));
  }
  if (s.attention_factor) check("attention_factor", *s.attention_factor);
  if (s.mscale) check("mscale", *s.mscale);
  if (s.mscale_all_dim) check("mscale_all_dim", *s.mscale_all_dim);
}

double AttentionFactorOf(const RopeScaling& s) {
  if (s.kind != RopeScalingKind::kYarn) return 1.0;
  if (s.attention_factor) return *s.attention_factor;
  if (s.mscale && s.mscale_all_dim) {
    return YarnFactor(s.factor, *s.mscale) / YarnFactor(s.factor, *s.mscale_all_dim);
  }
  return YarnFactor(s.factor, 1.0);
}

std::vector<float> RopeFrequencies(double theta, size_t dims, const std::vector<float>& stored,
                                   const RopeScaling& scaling) {
  std::vector<double> frequencies(stored.begin(), stored.end());
  for (size_t i = 0; stored.empty() && i < dims / 2; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(dims);
    frequencies.push_back(std::pow(theta, exponent));
  }
  switch (scaling.kind) {
    case RopeScalingKind::kNone: break;
    case RopeScalingKind::kLinear:
      for (double& frequency : frequencies) frequency /= scaling.factor;
      break;
    case RopeScalingKind::kLlama3:
      for (double& frequency : frequencies) frequency = Llama3(frequency, scaling);
      break;
    case RopeScalingKind::kYarn: ScaleAsYarn(theta, dims, scaling, &frequencies); break;
  }
  std::vector<float> rounded;
  for (const double frequency : frequencies) rounded.push_back(static_cast<float>(frequency));
  return rounded;
}

}  // namespace heed::cli
