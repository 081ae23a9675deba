// The tables of the standard that lie in core/mqtt/tables, read from the top of the tree, where tests are run.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace mqloop::mqtt::test {

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

// The rows of a table without its heading; empty when there is no such file.
inline std::vector<std::vector<std::string>> read_table(const std::string& name) {
  std::vector<std::vector<std::string>> rows;
  std::ifstream file("core/mqtt/tables/" + name);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) rows.push_back(split(line, '\t'));
  return rows;
}

}  // namespace mqloop::mqtt::test
