// The heed program: packs layers, shows and runs them, and tests the library on this device.
// Exit code 0; 1 with one line `heed: error: ...` on stderr; 2 for wrong usage.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include <heed/version.h>

#include "cli/commands.h"
#include "cli/error.h"
#include "cli/options.h"

namespace {

using heed::cli::GivenText;

int Complain(const std::string& message, int exit_code) {
  std::fprintf(stderr, "heed: error: %s%s\n", heed::cli::PlainText(message).c_str(),
               exit_code == 2 ? " (see heed --help)" : "");
  return exit_code;
}

// Says which arguments nobody knows.
std::string UnknownArguments(CLI::App& program) {
  constexpr size_t kMostShown = 6;
  const std::vector<std::string> left = program.remaining(true);
  const std::vector<CLI::App*> parsed = program.get_subcommands();
  std::string text;
  if (parsed.empty()) {
    text = "expected a subcommand (";
    const std::vector<CLI::App*> all = program.get_subcommands(nullptr);
    for (const CLI::App* command : all) {
      text += command->get_name() + (command == all.back() ? ")" : ", ");
    }
  } else {
    text = parsed[0]->get_name() + ": expected arguments that it knows";
  }
  text += ", got";
  for (size_t i = 0; i < left.size() && i < kMostShown; ++i) text += " " + GivenText(left[i]);
  return left.size() > kMostShown ? text + " ..." : text;
}

// "--query: 1 required TEXT missing" and its like, in words.
std::string WrongNumber(const std::string& text) {
  const std::string name = text.substr(0, text.find(": "));
  if (text.find("missing") != std::string::npos) return name + ": expected a value, got none";
  if (text.find("At Most") != std::string::npos) return name + ": expected once, got it again";
  const size_t flag = text.find(" was given a disallowed flag override");
  if (flag != std::string::npos) {
    return "--" + text.substr(0, flag) + ": expected no value, got one";
  }
  return text;
}

// The parser takes `-heads 2` for `-h`. A true one stands alone.
std::string MistakenForHelp(int argc, char** argv) {
  std::string mistaken;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "-h" || word == "--help" || word == "--version") return "";
    const bool is_long = word.size() > 2 && word.compare(0, 2, "-h") == 0;
    if (mistaken.empty() && is_long) mistaken = word;
  }
  return mistaken;
}

// heed help [COMMAND]: what --help prints.
void AddHelp(CLI::App& program) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = program.add_subcommand("help", "Shows the options of a command.");
  heed::cli::AddText(command, "COMMAND", name.get(), "a command's name");
  command->callback([&program, name] {
    const CLI::App* shown = name->empty() ? &program : nullptr;
    for (const CLI::App* each : program.get_subcommands(nullptr)) {
      if (each->get_name() == *name) shown = each;
    }
    if (shown == nullptr) {
      throw CLI::ValidationError("help", "expected a command, got " + GivenText(*name));
    }
    // App::help of the program would show the command that runs: this one.
    const std::string name_before = shown == &program ? "heed" : "heed " + *name;
    const std::string text =
        program.get_formatter()->make_help(shown, name_before, CLI::AppFormatMode::Normal);
    std::fputs(text.c_str(), stdout);
  });
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
  heed::cli::AddSize(program);
  heed::cli::AddReport(program);
  heed::cli::AddTargets(program);
  heed::cli::AddSelftest(program);
  AddHelp(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    const std::string mistaken = MistakenForHelp(argc, argv);
    if (!mistaken.empty()) {
      return Complain("expected options with two dashes, got " + GivenText(mistaken), 2);
    }
    return program.exit(help_or_version);
  } catch (const CLI::ExtrasError&) {
    return Complain(UnknownArguments(program), 2);
  } catch (const CLI::ArgumentMismatch& error) {
    return Complain(WrongNumber(error.what()), 2);
  } catch (const CLI::ParseError& error) {
    return Complain(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return Complain("out of memory", 1);
  } catch (const std::filesystem::filesystem_error& error) {
    return Complain(error.path1().string() + ": " + error.code().message(), 1);
  } catch (const std::system_error& error) {  // std::thread's alone
    return Complain("--threads: cannot start a thread: " + error.code().message(), 1);
  } catch (const std::exception& error) {
    return Complain(error.what(), 1);
  }
  if (program.get_subcommands().empty()) {
    return Complain("expected a subcommand, got none", 2);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return Complain("standard output: cannot write", 1);
  }
  return 0;
}
