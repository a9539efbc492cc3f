// Orders of samples, of several seeds side by side: what torch.randperm draws from a generator of each seed, which is
// at::mt19937 (ATen/core/MT19937RNGEngine.h; M. Matsumoto and T. Nishimura, 1998).

#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

constexpr int LANES = 8, STATE = 624, AHEAD = 397;
typedef uint32_t Words __attribute__((vector_size(LANES * 4)));

struct Drawing {
  int64_t num_seeds, num_samples;
  const uint64_t* seeds;
  int64_t* orders;  // [num_seeds, num_samples]
};

struct Twister {
  Words state[STATE];

  explicit Twister(Words seeds) {
    state[0] = seeds;
    for (uint32_t j = 1; j < STATE; ++j) state[j] = 1812433253u * (state[j - 1] ^ (state[j - 1] >> 30)) + j;
  }

  // The next numbers, of which there are at most STATE; fewer only where no others are wanted afterwards.
  void draw(int num, uint32_t (*numbers)[LANES]) {
    for (int j = 0; j < num; ++j) {
      const Words here = state[j], next = state[j + 1 < STATE ? j + 1 : 0];
      const Words mixed = (here & 0x80000000u) | (next & 0x7fffffffu);
      Words y = state[j + AHEAD < STATE ? j + AHEAD : j + AHEAD - STATE] ^ (mixed >> 1) ^ (-(next & 1u) & 0x9908b0dfu);
      state[j] = y;
      y ^= y >> 11;
      y ^= (y << 7) & 0x9d2c5680u;
      y ^= (y << 15) & 0xefc60000u;
      y ^= y >> 18;
      std::memcpy(numbers[j], &y, sizeof y);
    }
  }
};

// Remainders by a product in place of a division (D. Lemire, O. Kaser and N. Kurz, 2019).
struct Divisor {
  uint32_t number;
  uint64_t inverse;
  explicit Divisor(uint32_t d) : number(d), inverse(UINT64_MAX / d + 1) {}
  uint32_t remainder(uint32_t x) const {
    return static_cast<uint32_t>((static_cast<unsigned __int128>(inverse * x) * number) >> 64);
  }
};

static void draw_orders(const Drawing& work, int64_t first, int64_t end) {
  const int64_t num = work.num_samples;
  std::vector<Divisor> left;
  for (int64_t i = 0; i < num; ++i) left.emplace_back(static_cast<uint32_t>(num - i));
  for (int64_t start = first; start < end; start += LANES) {
    const int lanes = static_cast<int>(end - start < LANES ? end - start : LANES);
    Words seeds = {};
    for (int lane = 0; lane < lanes; ++lane) {
      seeds[lane] = static_cast<uint32_t>(work.seeds[start + lane]);
      for (int64_t i = 0; i < num; ++i) work.orders[(start + lane) * num + i] = i;
    }
    Twister twister(seeds);
    uint32_t numbers[STATE][LANES];
    for (int64_t done = 0; done < num - 1; done += STATE) {
      const int drawn = static_cast<int>(num - 1 - done < STATE ? num - 1 - done : STATE);
      twister.draw(drawn, numbers);
      for (int lane = 0; lane < lanes; ++lane) {
        int64_t* order = work.orders + (start + lane) * num + done;
        for (int j = 0; j < drawn; ++j) {
          int64_t& other = order[j + left[done + j].remainder(numbers[j][lane])];
          const int64_t here = order[j];
          order[j] = other;
          other = here;
        }
      }
    }
  }
}

extern "C" int orders(const Drawing* work, int64_t first, int64_t end) {
  try {
    draw_orders(*work, first, end);
  } catch (const std::bad_alloc&) {
    return 1;
  }
  return 0;
}
