// cli/commands.h: the program's commands. Each adds its options to the command line and returns
// the function that runs once they are parsed. All report errors by cli/error.h.
#ifndef HEED_PORTS_CLI_COMMANDS_H_
#define HEED_PORTS_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>

namespace heed::cli {

void AddPack(CLI::App& program);
void AddInfo(CLI::App& program);
void AddRun(CLI::App& program);
void AddReport(CLI::App& program);
void AddSdpa(CLI::App& program);
void AddSize(CLI::App& program);
void AddTargets(CLI::App& program);
void AddSelftest(CLI::App& program);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_COMMANDS_H_
