// JPEG for the page, by libjpeg-turbo: encodes a picture row by row, so that none of it is held whole, and
// decodes the tiles of lossy DNGs.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

extern "C" {
#include "jpeglib.h"
}

#define EXPORTED(name) extern "C" __attribute__((export_name(#name), used))

namespace {

struct Failure {};

void fail(j_common_ptr) { throw Failure(); }
void keep_quiet(j_common_ptr, int) {}
void keep_quiet(j_common_ptr) {}

void use_errors(jpeg_error_mgr &errors) {
  jpeg_std_error(&errors);
  errors.error_exit = fail;
  errors.emit_message = keep_quiet;
  errors.output_message = keep_quiet;
}

constexpr size_t CHUNK = 1 << 18;

// What is encoded gathers in `out` until it is taken.
struct Encoder {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  jpeg_destination_mgr to;
  std::vector<uint8_t> out;

  void point_at(size_t filled) {
    out.resize(filled + CHUNK);
    to.next_output_byte = out.data() + filled;
    to.free_in_buffer = CHUNK;
  }
  size_t filled() const { return out.size() - to.free_in_buffer; }
};

void begin(j_compress_ptr info) { static_cast<Encoder *>(info->client_data)->point_at(0); }
boolean more(j_compress_ptr info) {
  Encoder *of = static_cast<Encoder *>(info->client_data);
  of->point_at(of->out.size());
  return TRUE;
}
void end(j_compress_ptr) {}

} // namespace

// Begins a JPEG of RGB rows: baseline, 4:4:4, with a JFIF head. Null where memory is short or sides are too large.
EXPORTED(jpeg_encoder) Encoder *jpeg_encoder(unsigned width, unsigned height, int quality) {
  Encoder *of = new (std::nothrow) Encoder();
  if (!of)
    return nullptr;
  try {
    of->info.err = &of->errors;
    use_errors(of->errors);
    jpeg_create_compress(&of->info);
    of->info.client_data = of;
    of->to.init_destination = begin;
    of->to.empty_output_buffer = more;
    of->to.term_destination = end;
    of->info.dest = &of->to;
    of->info.image_width = width;
    of->info.image_height = height;
    of->info.input_components = 3;
    of->info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&of->info);
    jpeg_set_quality(&of->info, quality, TRUE);
    for (int i = 0; i < 3; i++)
      of->info.comp_info[i].h_samp_factor = of->info.comp_info[i].v_samp_factor = 1;
    jpeg_start_compress(&of->info, TRUE);
    return of;
  } catch (...) {
    delete of;
    return nullptr;
  }
}

// Encodes `count` rows; false where that failed.
EXPORTED(jpeg_rows) int jpeg_rows(Encoder *of, uint8_t *rgb, unsigned count) {
  try {
    const size_t stride = size_t(of->info.image_width) * 3;
    for (unsigned y = 0; y < count; y++) {
      JSAMPROW row = rgb + y * stride;
      jpeg_write_scanlines(&of->info, &row, 1);
    }
    return 1;
  } catch (...) {
    return 0;
  }
}

EXPORTED(jpeg_finish) int jpeg_finish(Encoder *of) {
  try {
    jpeg_finish_compress(&of->info);
    return 1;
  } catch (...) {
    return 0;
  }
}

// How many bytes are ready, and where; `jpeg_taken` makes room for the next.
EXPORTED(jpeg_ready) size_t jpeg_ready(Encoder *of) { return of->filled(); }
EXPORTED(jpeg_bytes) const uint8_t *jpeg_bytes(Encoder *of) { return of->out.data(); }
EXPORTED(jpeg_taken) void jpeg_taken(Encoder *of) { of->point_at(0); }

// Decodes a JPEG of `width` x `height` with `samples` components into `out`; a YCbCr one becomes RGB. False for
// broken ones and other sizes.
EXPORTED(jpeg_decoded) int jpeg_decoded(uint8_t *bytes, size_t size, uint8_t *out, unsigned width, unsigned height,
                                        int samples) {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  info.err = &errors;
  use_errors(errors);
  int done = 0;
  try {
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes, size);
    jpeg_read_header(&info, TRUE);
    if (info.num_components == samples && info.image_width == width && info.image_height == height) {
      jpeg_start_decompress(&info);
      while (info.output_scanline < height) {
        JSAMPROW row = out + size_t(info.output_scanline) * width * samples;
        jpeg_read_scanlines(&info, &row, 1);
      }
      jpeg_finish_decompress(&info);
      done = 1;
    }
  } catch (...) {
    done = 0;
  }
  jpeg_destroy_decompress(&info);
  return done;
}
