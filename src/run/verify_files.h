#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

#include "lomo/run/verify.h"

namespace lomo {

/// What verify_folder has to say of the files beside the weights. `vocab`: rows of the embedding;
/// 0: not known. Names of files that are looked at are added to `read`.
void verify_companions(std::filesystem::path const& folder, std::int64_t vocab,
                       Verification& result, std::set<std::string>& read);

/// Names pointers of git-lfs among all files of the folder, and what is not in `read`.
void verify_listing(std::filesystem::path const& folder, std::set<std::string> const& read,
                    Verification& result);

}  // namespace lomo
