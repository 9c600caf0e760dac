// What the seven kernels of this folder share: where the columns of the column matrix lie in x.
//
//     Z (M, F) = X_col (M, D) @ W2d (D, F),   M = N·OH·OW pixels, D = KH·KW·C columns, F filters
//
// as in ../implicit_gemm.cu: pixel m is (n, i, j), column d is (p, q, c), and X_col[m, d] is
// x[n, i·SH + p − top, j·SW + q − left, c], or 0 outside the image.
#pragma once
#include "common.h"

struct Geometry {
    int H, Wd, C, OH, OW, KH, KW, SH, SW, top, left;
};

struct Corner {  // where the window of a pixel begins
    int64 place;  // in x
    int row, column;  // of the image; those in the padding are negative
};

__device__ Corner corner_of(int64 m, int64 M, const Geometry& g) {
    const int64 line = m / g.OW;  // n·OH + i
    const int row = m < M ? (int)(line % g.OH) * g.SH - g.top : g.H;  // no such pixel: below
    const int column = (int)(m % g.OW) * g.SW - g.left;
    return {((line / g.OH * g.H + row) * g.Wd + column) * g.C, row, column};
}

struct Column {  // (p, q, c)
    int p, q, c;
};

__device__ void advance(Column& d, int columns, const Geometry& g) {  // without a division
    d.c += columns;
    while (d.c >= g.C) {
        d.c -= g.C;
        if (++d.q == g.KW) d.q = 0, ++d.p;
    }
}

__device__ bool is_inside(const Corner& corner, const Column& d, const Geometry& g) {
    const int h = corner.row + d.p, w = corner.column + d.q;
    return d.p < g.KH && h >= 0 && h < g.H && w >= 0 && w < g.Wd;
}

__device__ int64 place_of(const Corner& corner, const Column& d, const Geometry& g) {
    return corner.place + (int64)(d.p * g.Wd + d.q) * g.C + d.c;
}

__device__ void get4(real* to, const real* from) {  // by one instruction, from a multiple of 16 bytes
    const float4 four = *(const float4*)from;
    to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
}

// The row of X's tile that thread t copies, of 32 for 128 threads. Eight threads that are served at
// once have 4 pieces of 16 bytes of rows r and r + 4, which lie 80 numbers apart: in 32 banks. Rows
// r and r + 1 would meet in 4 of them.
__device__ int copied_row(int t) { return t / 32 * 8 + t / 8 % 4 + t / 4 % 2 * 4; }
