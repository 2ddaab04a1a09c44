// The heed program: packs layers, shows and runs them, and tests the library on this device.
// Exit code 0; 1 with one line `heed: error: ...` on stderr; 2 for wrong usage.
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include <heed/version.h>

#include "cli/commands.h"
#include "cli/error.h"

namespace {

int Complain(const std::string& message, int exit_code) {
  std::fprintf(stderr, "heed: error: %s\n", heed::cli::PlainText(message).c_str());
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("Multi-head attention on device: packs, shows and runs layers.", "heed");
  program.require_subcommand(0, 1);  // none is told below: an unknown one has a better message
  program.set_version_flag("--version", "heed " HEED_VERSION_STRING);
  heed::cli::AddPack(program);
  heed::cli::AddInfo(program);
  heed::cli::AddRun(program);
  heed::cli::AddSdpa(program);
  heed::cli::AddReport(program);
  heed::cli::AddTargets(program);
  heed::cli::AddSelftest(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return program.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    return Complain(error.what() + std::string(" (see heed --help)"), 2);
  } catch (const std::bad_alloc&) {
    return Complain("out of memory", 1);
  } catch (const std::exception& error) {
    return Complain(error.what(), 1);
  }
  if (program.get_subcommands().empty()) {
    return Complain("expected a subcommand, got none (see heed --help)", 2);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return Complain("standard output: cannot write", 1);
  }
  return 0;
}
