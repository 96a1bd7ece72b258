#pragma once
#include <string>
#include <vector>

#include "cuda_host/control.h"

/// The named, seeded orders that every kernel has to give the same bits under.
namespace cuda_host {

struct NamedPolicy {
  std::string name;
  Policy policy;
};

/// Threads forward, in reverse and by two drawings of priorities, each with late and early copies.
inline std::vector<NamedPolicy> all_orders() {
  std::vector<NamedPolicy> all;
  for (const bool late : {true, false}) {
    const std::string copies = late ? ", late copies" : ", early copies";
    all.push_back({"forward" + copies, {Order::forward, 1, late}});
    all.push_back({"reverse" + copies, {Order::reverse, 1, late}});
    all.push_back({"priority, seed 1" + copies, {Order::priority, 1, late}});
    all.push_back({"priority, seed 2" + copies, {Order::priority, 2, late}});
  }
  return all;
}

/// One for each order of threads, with late and early copies and lazy and eager streams in turn:
/// all that there is to tell apart in kernels without cp.async.
inline std::vector<NamedPolicy> thread_orders() {
  return {{"forward, late copies", {Order::forward, 1, true, true}},
          {"reverse, early copies, eager streams", {Order::reverse, 1, false, false}},
          {"priority, seed 1, late copies", {Order::priority, 1, true, true}},
          {"priority, seed 2, early copies", {Order::priority, 2, false, true}}};
}

}  // namespace cuda_host
