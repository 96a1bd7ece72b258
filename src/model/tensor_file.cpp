#include "lomo/model/tensor_file.h"

#include <cstddef>

#include "host_blocks.h"
#include "lomo/core/activity.h"
#include "lomo/io/safetensors.h"
#include "lomo/parallel/host_collectives.h"

namespace lomo {

void write_tensors(Backend& backend, Communicator& host, std::filesystem::path const& file,
                   std::vector<StoredTensor> const& tensors,
                   std::map<std::string, std::string> const& metadata) {
  std::vector<SafetensorsWriter::Tensor> header;
  std::vector<std::size_t> index;  // of each in the header: parts of one tensor follow each other
  for (StoredTensor const& tensor : tensors) {
    if (header.empty() || header.back().name != tensor.name_on_disk()) {
      const Shape shape = tensor.shape_on_disk();
      header.push_back({tensor.name_on_disk(), tensor.value.dtype(), {shape.rows()}});
      if (shape.rank() == 2) header.back().shape.push_back(shape.cols());
    }
    index.push_back(header.size() - 1);
  }
  SafetensorsWriter writer(file, header, metadata);
  on_root(host, [&] { writer.create(); });
  double held = 0;
  for (StoredTensor const& tensor : tensors) held += static_cast<double>(tensor.value.bytes());
  Activity activity("saving " + file.string(), held, Activity::Unit::bytes, Activity::End::quiet);
  all_ranks_or_throw(host, [&] {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      StoredTensor const& tensor = tensors[i];
      if (!tensor.sharded && !is_root(host)) continue;
      for_each_host_block(tensor.value, [&](Tensor block, std::int64_t first) {
        bytes.resize(block.bytes());
        backend.download(bytes, block);
        const auto at = static_cast<std::uint64_t>(first) * size_of(block.dtype());
        writer.write(index[i], tensor.first_byte() + at, bytes);
        activity.advance(static_cast<double>(bytes.size()));
      });
    }
    writer.finish();
  });
  on_root(host, [&] { writer.commit(); });
}

}  // namespace lomo
