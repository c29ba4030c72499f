//! x W^T, with weights stored [out, in] as everywhere in this field.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::bias::add_bias;
use super::gemm::{Matrix, Real, product};
use super::{by_type, store};

/// `input` [rows, in] times the transpose of `weight` [out, in]: [rows, out]. A row's result does not depend on the
/// other rows, to the last bit.
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn linear(input: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let product = Product { left_transposed: false, right_transposed: true };
    if weight.device().is_cpu() || weight.is_contiguous() || weight.t()?.is_contiguous() {
        return input.contiguous()?.apply_op2(weight, product);
    }
    // cuBLAS is asked for whole matrices only.
    input.contiguous()?.apply_op2(&weight.contiguous()?, product)
}

/// As [`linear`], plus a bias `[out]`.
///
/// # Errors
/// As [`linear`].
pub fn linear_with_bias(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    add_bias(&linear(input, weight)?, bias)
}

/// A product of two matrices, either of them transposed first.
struct Product {
    left_transposed: bool,
    right_transposed: bool,
}

impl Product {
    /// Rows, inner dimension and columns of the product.
    fn dimensions(&self, l1: &Layout, l2: &Layout) -> Result<(usize, usize, usize)> {
        let (left_rows, left_columns) = l1.shape().dims2()?;
        let (right_rows, right_columns) = l2.shape().dims2()?;
        let (rows, inner) = if self.left_transposed { (left_columns, left_rows) } else { (left_rows, left_columns) };
        let (right_inner, columns) =
            if self.right_transposed { (right_columns, right_rows) } else { (right_rows, right_columns) };
        if inner != right_inner {
            candle_core::bail!("product: inputs of width {inner} meet weights for a width of {right_inner}");
        }
        Ok((rows, inner, columns))
    }
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, _, columns) = self.dimensions(l1, l2)?;
        let storage = by_type!(T, s1, {
            let left = matrix::<T>(s1, l1)?;
            let right = matrix::<T>(s2, l2)?;
            let left = if self.left_transposed { left.transposed() } else { left };
            let right = if self.right_transposed { right.transposed() } else { right };
            let mut out = zeros::<T>(rows * columns);
            product(left, right, &mut out, columns, false);
            store(out)
        });
        Ok((storage, (rows, columns).into()))
    }

    /// By cuBLAS, which sums in f32 whatever the type. A row may depend on how many rows there are, in the last bits.
    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        use candle_core::backend::{BackendDevice, BackendStorage};
        let (rows, inner, columns) = self.dimensions(l1, l2)?;
        let shape = Shape::from((rows, columns));
        if rows * inner * columns == 0 {
            return Ok((s1.device().zeros_impl(&shape, s1.dtype())?, shape));
        }
        let left = if self.left_transposed { l1.transpose(0, 1)? } else { l1.clone() };
        let right = if self.right_transposed { l2.transpose(0, 1)? } else { l2.clone() };
        Ok((s1.matmul(s2, (1, rows, columns, inner), &left, &right)?, shape))
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if self.left_transposed || !self.right_transposed {
            candle_core::bail!("product: only x W^T has a gradient");
        }
        let gradient = gradient.contiguous()?;
        let to_input =
            gradient.apply_op2_no_bwd(right, &Product { left_transposed: false, right_transposed: false })?;
        let to_weight = gradient.apply_op2_no_bwd(left, &Product { left_transposed: true, right_transposed: false })?;
        Ok((Some(to_input), Some(to_weight)))
    }
}

/// A tensor of two dimensions as a matrix: its rows or its columns lie contiguous in memory.
fn matrix<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<Matrix<'a, T>> {
    let (rows, columns) = layout.shape().dims2()?;
    let data = &storage.as_slice::<T>()?[layout.start_offset()..];
    match *layout.stride() {
        [stride, 1] => Ok(Matrix::new(data, rows, columns, stride)),
        [1, stride] => Ok(Matrix::new(data, columns, rows, stride).transposed()),
        _ => candle_core::bail!("product: a matrix of {:?} is not contiguous either way", layout.shape()),
    }
}

/// The same weights, stored so that a product need not rearrange them: columns of [out, in] contiguous. For inference.
///
/// # Errors
/// Where the tensor has not two dimensions.
pub fn arranged(weight: &Tensor) -> Result<Tensor> {
    weight.detach().t()?.contiguous()?.t()
}

fn zeros<T: Real>(count: usize) -> Vec<T> {
    vec![T::zero(); count]
}
