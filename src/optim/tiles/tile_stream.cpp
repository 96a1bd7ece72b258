#include "lomo/optim/tile_stream.h"

#include "pipeline.h"

namespace lomo {

namespace {

EmbeddingOffer const* embedding_of(std::vector<Offer> const& offers) {
  for (Offer const& offer : offers) {
    if (auto const* rows = std::get_if<EmbeddingOffer>(&offer)) return rows;
  }
  return nullptr;
}

bool is_vector(ParameterGroup const& group) {
  return !group.members().front().sharded();
}

std::unique_ptr<TilePipeline> pipeline_of(Backend& backend, GradientComm comm,
                                          TileRequest const& request) {
  if (locally_complete(request.offers, comm.ranks)) return local_tiles(backend, comm, request);
  if (is_vector(request.group)) return vector_tile(backend, comm, request);
  if (auto const* embedding = embedding_of(request.offers)) {
    return vocabulary_tiles(backend, comm, request, *embedding);
  }
  return summed_tiles(backend, comm, request);
}

}  // namespace

bool comes_in_parts(ParameterGroup const& group, std::vector<Offer> const& offers,
                    GradientComm const& comm) {
  return !locally_complete(offers, comm.ranks) && !is_vector(group) &&
         embedding_of(offers) == nullptr;
}

TileStream::TileStream(Backend& backend, GradientComm comm, TileRequest const& request)
    : pipeline_(request.members.empty() ? nullptr : pipeline_of(backend, comm, request)) {}
TileStream::~TileStream() = default;

std::optional<GradientTile> TileStream::next() {
  if (!pipeline_ || !pipeline_->next()) return std::nullopt;
  return GradientTile{pipeline_->member(), pipeline_->rows(), pipeline_->tensor(),
                      pipeline_->last()};
}

PartialTileStream::PartialTileStream(Backend& backend, GradientComm comm,
                                     TileRequest const& request)
    : pipeline_(request.members.empty() ? nullptr : partial_tiles(backend, comm, request)) {}
PartialTileStream::~PartialTileStream() = default;

std::optional<PartialTile> PartialTileStream::next() {
  if (!pipeline_ || !pipeline_->next()) return std::nullopt;
  return PartialTile{pipeline_->member(), pipeline_->rows(), pipeline_->tensor(),
                     pipeline_->last()};
}

}  // namespace lomo
