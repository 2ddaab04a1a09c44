// cli/inputs.h: the query, key and value of a layer, from files.
#ifndef HEED_PORTS_CLI_INPUTS_H_
#define HEED_PORTS_CLI_INPUTS_H_

#include <string>

#include <CLI/CLI.hpp>
#include <heed/attention.h>

#include "cli/call.h"
#include "cli/npy.h"

namespace heed::cli {

// Absent paths are empty.
struct InputOptions {
  std::string query;
  std::string key;
  std::string value;
};
void AddInputOptions(CLI::App* command, InputOptions* options);

// The arrays, and a call on them; the views of the call point into the arrays.
struct Inputs {
  Array query, key, value;
  ForwardArgs args;
  CallShape shape;
  Limits limits;  // that just hold the call, with one worker

  // `config` is resolved.
  Inputs(const InputOptions& options, const AttentionConfig& config);
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;
};

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_INPUTS_H_
