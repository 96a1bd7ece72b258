/// Loaded before a program (LD_PRELOAD), it stands for a liblomo.so of other sources.
namespace lomo {

char const* build_id();
char const* build_id() {
  return "0.0.0-other";
}

}  // namespace lomo
